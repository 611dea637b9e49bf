"""Reads a finished explanation and holds every claim in it against the item's JSON.

It shares no code with the writer of explanations and trusts nothing but the text: each sentence has to be readable, its
words and its citation have to agree, the cited value has to be the item's, and the verdict it gives on the request has
to follow from that value. Whatever fails, or cannot be read at all, is a hallucinated claim (project plan, 9.4).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from fvrec import vocab
from fvrec.rerank.constraints import Constraint, Constraints
from fvrec.schema import FIELDS, UNKNOWN, VALUES

_ENGLISH = re.compile(
    r"Its (?P<name>[\w -]{1,40}?) is (?P<word>[\w /-]{1,40}?) "
    r"\((?P<field>\w+)=(?P<value>\w+)(?:, (?P<certainty>\d\.\d\d))?\)"
    r"(?:, (?P<verdict>which meets|which does not meet|so) your wish for "
    r'"(?P<wish>[^"]{1,400})"(?P<tail> cannot be checked)?'
    r"|, (?P<likeness>like|unlike|not comparable with) your picture's (?P<shown>[\w /-]{1,40}))?"
)
_CHINESE = re.compile(
    r"(?P<name>\w{1,40}?)是(?P<word>\w{1,40}?)（(?P<field>[a-z_]+)=(?P<value>[a-z_]+)(?:, (?P<certainty>\d\.\d\d))?）"
    r"(?:，(?P<verdict>符合|不符合|无法核对)“(?P<wish>[^”]{1,400})”的要求"
    r"|，(?P<apart>无法)?与参考图的(?P<shown>\w{1,40}?)(?P<likeness>相同|不同|比较))?"
)
_READ_AS = {
    "which meets": "met",
    "which does not meet": "conflict",
    "so": "unknown",
    "符合": "met",
    "不符合": "conflict",
    "无法核对": "unknown",
    "like": "met",
    "unlike": "conflict",
    "not comparable with": "unknown",
    "相同": "met",
    "不同": "conflict",
    "比较": "unknown",
}


@dataclass(frozen=True)
class Claim:
    """One sentence as read. ``problem`` is empty for a claim that the JSON bears out, and says what is wrong otherwise.

    ``kind``: what the sentence says of the request (``met``, ``conflict``, ``unknown``), or ``stated`` without one.
    """

    sentence: str
    field: str = ""
    value: str = ""
    kind: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Verdict:
    """Every claim of one explanation."""

    claims: tuple[Claim, ...]

    @property
    def hallucinated(self) -> tuple[Claim, ...]:
        """The claims that the JSON does not bear out."""
        return tuple(claim for claim in self.claims if claim.problem)

    @property
    def faithful(self) -> bool:
        """There is a claim, and none is hallucinated."""
        return bool(self.claims) and not self.hallucinated


def verify(
    text: str,
    attributes: Mapping[str, str],
    *,
    confidence: Mapping[str, float] | None = None,
    constraints: Constraints | None = None,
) -> Verdict:
    """Read ``text`` (English or Chinese) and judge each claim by ``attributes`` (field -> value).

    With ``confidence`` the cited numbers are checked too, to two decimals; with ``constraints`` also that each wish
    it quotes was made. Any string is fine: prose without a citation is a claim that nothing bears out.
    """
    claims = []
    for sentence in _sentences(text):
        english = _ENGLISH.fullmatch(sentence)
        match = english or _CHINESE.fullmatch(sentence)
        if match is None:
            claims.append(Claim(sentence, problem="no claim can be read"))
            continue
        read = match.groupdict()
        problem = _problem(read, "en" if english else "zh", attributes, confidence, constraints)
        kind = _READ_AS.get(read["verdict"] or read["likeness"] or "", "stated")
        claims.append(Claim(sentence, read["field"], read["value"], kind, problem))
    return Verdict(tuple(claims))


def _sentences(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"。|(?<=[^\d])\.(?=\s|$)|\n", text) if part.strip()]


def _problem(
    read: Mapping[str, str | None],
    language: str,
    attributes: Mapping[str, str],
    confidence: Mapping[str, float] | None,
    constraints: Constraints | None,
) -> str:
    field, value = str(read["field"]), str(read["value"])
    if field not in FIELDS:
        return f"no field {field!r} in the JSON"
    if _field_names(language).get(str(read["name"]).casefold()) != field:
        return f"{read['name']!r} is not the field {field}"
    if _value_words(field, language).get(str(read["word"]).casefold()) != value:
        return f"{read['word']!r} is not the value {value!r}"
    actual = attributes.get(field, UNKNOWN)
    if actual != value:
        return f"the JSON has {field}={actual}"
    certainty = read["certainty"]
    if certainty and confidence is not None and abs(float(certainty) - confidence.get(field, 0.0)) > 0.0051:
        return f"the JSON has confidence {confidence.get(field, 0.0):.2f} for {field}"
    if read["likeness"]:
        return _likeness_problem(read, field, value, language, constraints)
    return _wish_problem(read, field, value, language, constraints) if read["verdict"] else ""


def _likeness_problem(
    read: Mapping[str, str | None], field: str, value: str, language: str, constraints: Constraints | None
) -> str:
    shown = _value_words(field, language).get(str(read["shown"]).casefold(), UNKNOWN)
    if shown == UNKNOWN:
        return f"{read['shown']!r} names no value of {field}"
    if language == "zh" and (read["likeness"] == "比较") != bool(read["apart"]):
        return "the sentence is not whole"
    follows = "unknown" if value == UNKNOWN else "met" if value == shown else "conflict"
    if follows != _READ_AS[str(read["likeness"])]:
        return f"{field}={value} does not bear out {read['likeness']!r} for {shown}"
    pictured = [one for one in constraints.constraints if one.origin == "picture"] if constraints is not None else []
    if constraints is not None and not any(one.field == field and one.values == {shown} for one in pictured):
        return f"no picture showed {field}={shown}"
    return ""


def _wish_problem(
    read: Mapping[str, str | None], field: str, value: str, language: str, constraints: Constraints | None
) -> str:
    wish = str(read["wish"])
    prefix, joint = ("not ", " or ") if language == "en" else ("不要", "或")
    excluded = wish.startswith(prefix)
    words = wish.removeprefix(prefix).split(joint)
    named = {_value_words(field, language).get(word.casefold(), "") for word in words}
    if not named <= set(VALUES[field]) - {UNKNOWN}:
        return f"{wish!r} names no values of {field}"
    if (read["verdict"] == "so") != bool(read.get("tail")):
        return "the sentence is not whole"
    follows = "unknown" if value == UNKNOWN else "met" if (value in named) is not excluded else "conflict"
    if follows != _READ_AS[str(read["verdict"])]:
        return f"{field}={value} does not bear out {read['verdict']!r} for {wish!r}"
    if constraints is not None:
        made = [one.values for one in constraints.constraints if _is_wish(one, field, excluded)]
        if named not in made:
            return f"nobody asked for {wish!r}"
    return ""


def _is_wish(constraint: Constraint, field: str, excluded: bool) -> bool:
    return (constraint.field, constraint.excluded, constraint.origin) == (field, excluded, "text")


@cache
def _field_names(language: str) -> Mapping[str, str]:
    return {word.casefold(): field for field, by in vocab.load("words")["fields"].items() for word in by[language]}


@cache
def _value_words(field: str, language: str) -> Mapping[str, str]:
    words = {"unknown" if language == "en" else "未知": UNKNOWN}
    for value, by in vocab.load("words")["values"][field].items():
        for word in by[language]:
            words.setdefault(word.casefold(), value)
    return words
