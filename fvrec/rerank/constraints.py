"""Chinese or English text -> constraints on schema fields, over several turns (project plan, 9.2).

``parse`` works in four steps: fold and tokenise by longest match (``folding``, ``spelling``, ``lexicon``), read clauses
with their negations and strengths (``clauses``, ``mentions``), merge with the standing request, report what was not
understood.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from fvrec.errors import FvrecError
from fvrec.rerank.lexicon import default_lexicon, is_general
from fvrec.rerank.mentions import Request, read_request
from fvrec.rerank.preference import Mention, Strength
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

    ``unrecognised``: pieces of the last text that no word list knows, each once, and where it first stands
    (``unrecognised_spans``, in parallel). ``contradictions``: pieces of it that a later piece took back ("red, not
    red": the later wins).
    """

    constraints: tuple[Constraint, ...] = ()
    unrecognised: tuple[str, ...] = ()
    contradictions: tuple[str, ...] = ()
    language: Language = "en"
    unrecognised_spans: tuple[Span, ...] = ()

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
    unknown: dict[str, Span] = {}
    for start, end in request.unrecognised:
        unknown.setdefault(text[start:end], Span(start, end))
    for span in merged.inexpressible:
        unknown.setdefault(text[span.start : span.end], span)
    return Constraints(
        constraints=merged.constraints(),
        unrecognised=tuple(unknown),
        unrecognised_spans=tuple(unknown.values()),
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
        self._groups: dict[str, Mention] = {}
        self.contradictions: list[str] = []
        self.inexpressible: list[Span] = []

    def start_from(self, standing: Constraints, request: Request) -> None:
        wanted_anew = {mention.field for mention in request.mentions if not (mention.excluded or mention.withdrawn)}
        for constraint in standing.constraints:
            name = constraint.field
            replaced = name in wanted_anew and not constraint.excluded and name not in request.added
            if name not in request.dropped and not replaced:
                self._said[name, constraint.excluded] = dict.fromkeys(constraint.values, constraint)

    def say(self, mention: Mention, text: str) -> None:
        if mention.withdrawn:
            self._take_back(mention)
            return
        if mention.excluded and self._is_narrower(mention, text):
            self.inexpressible.append(Span(mention.start, mention.end))
            return
        values = self._narrowed(mention)
        words = text[mention.start : mention.end]
        opposite = self._said.get((mention.field, not mention.excluded), {})
        for value in values & set(opposite):
            del opposite[value]
            if (mention.field, not mention.excluded, value) in self._fresh and not opposite:
                self.contradictions.append(words)
        said = self._said.setdefault((mention.field, mention.excluded), {})
        said.update(dict.fromkeys(values, _constraint(mention, words)))
        self._fresh |= {(mention.field, mention.excluded, value) for value in values}

    def _is_narrower(self, mention: Mention, text: str) -> bool:
        """ "green except olive": olive is a green, and the schema knows no shades; green stays wanted."""
        if len(mention.values) != 1 or (mention.field, False, *mention.values) not in self._fresh:
            return False
        (value,) = mention.values
        wished = self._said.get((mention.field, False), {}).get(value)
        named = wished.words if wished is not None else ()
        return any(map(is_general, named)) and not is_general(text[mention.start : mention.end])

    def constraints(self) -> tuple[Constraint, ...]:
        made = [_united(name, excluded, said) for (name, excluded), said in self._said.items() if said]
        return _in_order(made)

    def _take_back(self, mention: Mention) -> None:
        for excluded in (False, True):
            for value in mention.values:
                self._said.get((mention.field, excluded), {}).pop(value, None)

    def _narrowed(self, mention: Mention) -> frozenset[str]:
        """A general word ("shoes") and a narrower one in the same text ("sneakers", "no heels") do not contradict.

        A narrower wish takes the place of the general one, unless it is only a preference or an alternative; a general
        wish leaves out what the text excluded before.
        """
        if mention.excluded:
            return mention.values
        if len(mention.values) > 1:
            excluded = {value for value in mention.values if (mention.field, True, value) in self._fresh}
            if not mention.values & self._group_values(mention.field) and excluded < mention.values:
                self._groups[mention.field] = mention
                return mention.values - excluded
        elif mention.values < self._group_values(mention.field) and not mention.joined:
            if mention.strength == "soft":
                return frozenset(self._said[mention.field, False])
            self._said.pop((mention.field, False), None)
            del self._groups[mention.field]
        return mention.values

    def _group_values(self, name: str) -> frozenset[str]:
        return self._groups[name].values if name in self._groups else frozenset()


def _united(name: str, excluded: bool, said: Mapping[str, Constraint]) -> Constraint:
    sources = list(dict.fromkeys(said.values()))
    return Constraint(
        name,
        frozenset(said),
        excluded,
        "soft" if all(source.strength == "soft" for source in sources) else "hard",
        tuple(dict.fromkeys(word for source in sources for word in source.words)),
        tuple(dict.fromkeys(span for source in sources for span in source.spans)),
    )


def _constraint(mention: Mention, words: str) -> Constraint:
    span = Span(mention.start, mention.end)
    return Constraint(mention.field, mention.values, mention.excluded, mention.strength, (words,), (span,))


def _in_order(constraints: Iterable[Constraint]) -> tuple[Constraint, ...]:
    return tuple(sorted(constraints, key=lambda c: (FIELDS.index(c.field), c.excluded)))
