"""One value as a text mentions it, and the strength that words of preference give it.

"ideally" and its like make the values after them soft, up to a "must" or an exclusion; "if possible" and its like the
value before them; never a category beside other values.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from fvrec.rerank.lexicon import Token

Strength = Literal["hard", "soft"]
CATEGORY = "category"


@dataclass(frozen=True)
class Mention:
    """One field's values as one phrase names them, at ``[start, end)`` of the text.

    ``withdrawn``: the text takes the values back ("forget the red"), neither wanting nor excluding them.
    """

    field: str
    values: frozenset[str]
    excluded: bool
    strength: Strength
    start: int
    end: int
    withdrawn: bool = False
    joined: bool = False


def softened(found: Sequence[Mention], clause: Sequence[Token]) -> list[Mention]:
    """``found`` with the strengths that the clause's words of preference give."""
    markers = [token for token in clause if token.has("soft") or token.has("soft_after")]
    if not markers or not found:
        return list(found)
    starts = [mention.start for mention in found]
    musts = [token.start for token in clause if token.has("hard")]
    soft: set[int] = set()
    covered_to = 0
    for marker in markers:
        begin = bisect_left(starts, marker.end)
        must = bisect_left(musts, marker.end)
        end = bisect_left(starts, musts[must]) if must < len(musts) else len(found)
        if begin and not (marker.has("soft") and begin < end):
            soft |= _without_category(found, _nearest(found, begin, soft))
        elif end > covered_to:
            soft |= _without_category(found, range(begin, _same_polarity(found, begin, end)))
            covered_to = end
    return [replace(m, strength="soft") if i in soft else m for i, m in enumerate(found)]


def _same_polarity(found: Sequence[Mention], begin: int, end: int) -> int:
    """ "ideally cotton without stripes": the preference ends where a wish turns into an exclusion."""
    return next((i for i in range(begin, end) if found[i].excluded != found[begin].excluded), end)


def _nearest(found: Sequence[Mention], end: int, done: set[int]) -> list[int]:
    """The last value of the first ``end`` that is no category, with what it is listed with."""
    at = next((i for i in reversed(range(end)) if found[i].field != CATEGORY), end - 1)
    group = [at]
    while at > 0 and at not in done and (found[at].joined or found[at - 1].field == found[at].field):
        at -= 1
        group.append(at)
    return group


def _without_category(found: Sequence[Mention], covered: Collection[int]) -> set[int]:
    others = {i for i in covered if found[i].field != CATEGORY}
    return others or set(covered)
