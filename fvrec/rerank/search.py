"""The words that texts are searched for: what the request says, less what it wants not to see."""

from __future__ import annotations

from fvrec import vocab
from fvrec.rerank.constraints import LANGUAGES, Constraint, Constraints
from fvrec.rerank.text import TextIndex


def search_text(text: str, constraints: Constraints, index: TextIndex) -> str:
    """The turn's words without those that exclude, those of standing wishes, and names for what no text can answer.

    A title that says "red" is no match for "not red". A wish whose words no text holds (a Chinese one, asked of English
    titles) is searched for by what its values are called in either language.
    """
    said = _without_exclusions(text, constraints)
    wishes = [one for one in constraints.constraints if not one.excluded and one.origin == "text"]
    standing = [word for one in wishes for word in one.words if word not in text]
    named = [name for one in wishes if not any(map(index.knows, one.words)) for name in _names(one)]
    return " ".join([said, *standing, *named])


def _names(wish: Constraint) -> list[str]:
    names = vocab.load("words")["values"][wish.field]
    return [names[value][language][0] for value in sorted(wish.values) for language in LANGUAGES]


def _without_exclusions(text: str, constraints: Constraints) -> str:
    kept = list(text)
    for one in constraints.constraints:
        for span in one.spans if one.excluded else ():
            # Spans of earlier turns are places in earlier texts.
            if text[span.start : span.end] in one.words:
                kept[span.start : span.end] = " " * (span.end - span.start)
    return "".join(kept)
