"""Chinese or English text -> constraints on schema fields, over several turns (project plan, 9.2).

``parse`` works in four steps: normalise and tokenise by longest match (``lexicon``), read clauses with their negations
and strengths (``mentions``), merge with the standing request, report what was not understood.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from fvrec.errors import FvrecError
from fvrec.rerank.lexicon import default_lexicon
from fvrec.rerank.mentions import Mention, Request, Strength, read_request
from fvrec.schema import FIELDS, UNKNOWN, VALUES

Language = Literal["zh", "en"]
Origin = Literal["text", "picture"]
Outcome = Literal["met", "conflict", "unknown"]
LANGUAGES: tuple[Language, ...] = ("zh", "en")


@dataclass(frozen=True)
class Span:
    """``[start, end)`` in the text of the turn that said it."""

    start: int
    end: int


@dataclass(frozen=True)
class Constraint:
    """One field's wanted values (any of them will do), or its excluded ones.

    ``words`` and ``spans`` say where the request named them; both are empty for a constraint built by hand.
    ``origin``: whether the user said it, or it was read from their reference picture.
    """

    field: str
    values: frozenset[str]
    excluded: bool = False
    strength: Strength = "hard"
    words: tuple[str, ...] = ()
    spans: tuple[Span, ...] = ()
    origin: Origin = "text"

    def __post_init__(self) -> None:
        allowed = VALUES.get(self.field)
        if allowed is None:
            raise FvrecError("no such field", found=self.field, allowed=FIELDS)
        bad = self.values - set(allowed) | self.values & {UNKNOWN}
        if bad or not self.values:
            raise FvrecError("not a value to ask for", where=self.field, found=sorted(bad), allowed=allowed[:-1])

    def outcome(self, value: str) -> Outcome:
        """How an item with this value stands to the constraint; ``unknown`` neither meets nor breaks any."""
        if value == UNKNOWN:
            return "unknown"
        return "met" if (value in self.values) != self.excluded else "conflict"


@dataclass(frozen=True)
class Constraints:
    """A request: at most one wanted and one excluded constraint a field, in the order of the schema.

    ``unrecognised``: pieces of the last text that no word list knows. ``contradictions``: pieces of it that a later
    piece took back ("red, not red": the later wins).
    """

    constraints: tuple[Constraint, ...] = ()
    unrecognised: tuple[str, ...] = ()
    contradictions: tuple[str, ...] = ()
    language: Language = "en"

    @classmethod
    def of(
        cls,
        wanted: Mapping[str, Iterable[str]] | None = None,
        excluded: Mapping[str, Iterable[str]] | None = None,
        language: Language = "en",
    ) -> Constraints:
        """Constraints without a text. Raises FvrecError on names that the schema lacks."""
        made = [Constraint(name, frozenset(values)) for name, values in (wanted or {}).items()]
        made += [Constraint(name, frozenset(values), excluded=True) for name, values in (excluded or {}).items()]
        return cls(_in_order(made), language=language)

    @property
    def wanted(self) -> Mapping[str, frozenset[str]]:
        """field -> values of which an item should have one."""
        return MappingProxyType({c.field: c.values for c in self.constraints if not c.excluded})

    @property
    def excluded(self) -> Mapping[str, frozenset[str]]:
        """field -> values of which an item should have none."""
        return MappingProxyType({c.field: c.values for c in self.constraints if c.excluded})

    def without(self, *removed: Constraint) -> Constraints:
        """The same request less some constraints (a pill struck on a page, a wish relaxed)."""
        return replace(self, constraints=tuple(c for c in self.constraints if c not in removed))

    def __len__(self) -> int:
        return len(self.constraints)

    def __bool__(self) -> bool:
        return bool(self.constraints)


def parse(text: str, standing: Constraints | None = None) -> Constraints:
    """What ``text`` asks for, on top of the ``standing`` request of the turns before.

    A field wanted anew replaces the standing wish for it ("in red instead", 换成红色), unless the text adds ("also",
    也可以); exclusions accumulate; "any colour", 不限颜色 forget a field; "start over", 重新来 forget everything.
    Any string is fine: what is not understood lands in ``unrecognised``. Linear in the text's length.
    """
    request = read_request(default_lexicon().tokens(text))
    merged = _Merge()
    if standing is not None and not request.resets:
        merged.start_from(standing, request)
    for mention in request.mentions:
        merged.say(mention, text)
    return Constraints(
        constraints=merged.constraints(),
        unrecognised=tuple(dict.fromkeys(text[start:end] for start, end in request.unrecognised)),
        contradictions=tuple(dict.fromkeys(merged.contradictions)),
        language=detect_language(text, standing.language if standing is not None else "en"),
    )


def detect_language(text: str, default: Language = "en") -> Language:
    """zh when the text has Han characters, unless Latin words outnumber them; ``default`` when it has neither."""
    han = sum("\u3400" <= char <= "\u9fff" for char in text)
    latin = sum(any("a" <= char <= "z" for char in word.lower()) for word in text.split())
    if not han and not latin:
        return default
    return "zh" if han >= latin and han else "en"


class _Merge:
    """Values said so far: (field, excluded) -> value -> the constraint it came with."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, bool], dict[str, Constraint]] = {}
        self._fresh: set[tuple[str, bool, str]] = set()
        self.contradictions: list[str] = []

    def start_from(self, standing: Constraints, request: Request) -> None:
        wanted_anew = {mention.field for mention in request.mentions if not mention.excluded}
        for constraint in standing.constraints:
            replaced = constraint.field in wanted_anew and not constraint.excluded and not request.adds
            if constraint.field not in request.dropped and not replaced:
                self._said[constraint.field, constraint.excluded] = dict.fromkeys(constraint.values, constraint)

    def say(self, mention: Mention, text: str) -> None:
        words = text[mention.start : mention.end]
        opposite = self._said.get((mention.field, not mention.excluded), {})
        for value in mention.values & set(opposite):
            del opposite[value]
            if (mention.field, not mention.excluded, value) in self._fresh and not opposite:
                self.contradictions.append(words)
        said = self._said.setdefault((mention.field, mention.excluded), {})
        said.update(dict.fromkeys(mention.values, _constraint(mention, words)))
        self._fresh |= {(mention.field, mention.excluded, value) for value in mention.values}

    def constraints(self) -> tuple[Constraint, ...]:
        made = []
        for (name, excluded), said in self._said.items():
            if said:
                sources = list(dict.fromkeys(said.values()))
                made.append(
                    Constraint(
                        name,
                        frozenset(said),
                        excluded,
                        "soft" if all(source.strength == "soft" for source in sources) else "hard",
                        tuple(dict.fromkeys(word for source in sources for word in source.words)),
                        tuple(dict.fromkeys(span for source in sources for span in source.spans)),
                    )
                )
        return _in_order(made)


def _constraint(mention: Mention, words: str) -> Constraint:
    span = Span(mention.start, mention.end)
    return Constraint(mention.field, mention.values, mention.excluded, mention.strength, (words,), (span,))


def _in_order(constraints: Iterable[Constraint]) -> tuple[Constraint, ...]:
    return tuple(sorted(constraints, key=lambda c: (FIELDS.index(c.field), c.excluded)))
