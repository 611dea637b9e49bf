"""What the user should hear besides the list: what was not understood, taken back, or could not be met."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from fvrec import vocab
from fvrec.rerank.constraints import Constraint, Constraints, Language
from fvrec.rerank.score import Judgement, ScoreWeights, score
from fvrec.schema import VALUES

NoteKind = Literal["unrecognised", "contradiction", "relaxed", "fewer", "blind"]
LONGEST_QUOTE = 120
"""Characters of what was not understood that a note repeats: a pasted page need not come back whole."""

_TEXTS: dict[NoteKind, dict[Language, str]] = {
    "unrecognised": {"en": "Not understood: {what}.", "zh": "没有理解：{what}。"},
    "contradiction": {
        "en": "You asked for and against the same; the later words count: {what}.",
        "zh": "要求互相矛盾，以后说的为准：{what}。",
    },
    "relaxed": {
        "en": "Nothing meets every wish; the list comes closest with this relaxed: {what}.",
        "zh": "没有商品满足全部要求，已放宽：{what}。",
    },
    "fewer": {"en": "Only {what} items are there to show.", "zh": "只有 {what} 件商品可以展示。"},
    "blind": {
        "en": "No wish was found: the list shows products in no particular order.",
        "zh": "没有读到任何要求，以下商品不分先后。",
    },
}
_BAD_PICTURE: dict[Language, str] = {
    "en": "the reference picture cannot be used: {why}",
    "zh": "参考图无法使用：需要能打开的 JPEG、PNG 或 WEBP 图片，不超过 10 MB（{why}）",
}


@dataclass(frozen=True)
class Note:
    """One remark: its kind for programs, its text for people, and for ``relaxed`` the constraints given up."""

    kind: NoteKind
    text: str
    constraints: tuple[Constraint, ...] = ()


def notes_on(
    constraints: Constraints,
    judgement: Judgement,
    weights: ScoreWeights,
    *,
    asked: int,
    shown: int,
    language: Language,
    blind: bool = False,
) -> tuple[Note, ...]:
    """The remarks on a list of ``shown`` items for a request of ``asked``; ``judgement`` covers every candidate.

    blind: nothing in the request tells one candidate from another.
    """
    joint = ", " if language == "en" else "、"
    relaxed = relax(judgement, weights)
    named: dict[NoteKind, str] = {
        "unrecognised": _quoted(joint.join(constraints.unrecognised)),
        "contradiction": joint.join(constraints.contradictions),
        "relaxed": joint.join(describe(constraint, language) for constraint in relaxed),
        "fewer": str(shown) if shown < asked else "",
        "blind": "yes" if blind else "",
    }
    return tuple(
        Note(kind, _TEXTS[kind][language].format(what=what), relaxed if kind == "relaxed" else ())
        for kind, what in named.items()
        if what
    )


def relax(judgement: Judgement, weights: ScoreWeights | None = None) -> tuple[Constraint, ...]:
    """The constraints that the best candidate does not meet; empty when some candidate meets all.

    Best is what scores most by constraints alone, so soft ones go first and what the list shows on top agrees with it;
    of equally good ways to fall short, the one that most candidates share.
    """
    chosen = weights or ScoreWeights()
    if judgement.meets_all.any() or not len(judgement.met):
        return ()
    # Whether wishes are met is what counts here, not how sure that is.
    points = score(np.zeros(len(judgement.met)), judgement, replace(chosen, expected=False))
    patterns, counts = np.unique(judgement.met[points >= points.max() - 1e-9], axis=0, return_counts=True)
    met = patterns[int(counts.argmax())]
    return tuple(one for one, is_met in zip(judgement.constraints.constraints, met, strict=True) if not is_met)


def describe(constraint: Constraint, language: Language) -> str:
    """``color: not black or white`` / ``颜色：不要黑色或白色``."""
    words = vocab.load("words")
    values = sorted(constraint.values, key=VALUES[constraint.field].index)
    named = [words["values"][constraint.field][value][language][0] for value in values]
    name = words["fields"][constraint.field][language][0]
    if language == "en":
        return f"{name}: {'not ' if constraint.excluded else ''}{' or '.join(named)}"
    return f"{name}：{'不要' if constraint.excluded else ''}{'或'.join(named)}"


def bad_picture(problem: Exception, language: Language) -> str:
    """What to tell someone whose reference picture is none, in their language; the cause is quoted as it came."""
    why = problem.strerror if isinstance(problem, OSError) and problem.strerror else problem
    return _BAD_PICTURE[language].format(why=why)


def _quoted(words: str) -> str:
    return words if len(words) <= LONGEST_QUOTE else f"{words[:LONGEST_QUOTE]}…"
