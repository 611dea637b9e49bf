"""From tokens to mentions: which values a text names, whether it wants them, how strongly, and what it takes back.

Scopes, all within one clause (a punctuation mark or a word such as "but" ends it; the commas of "no red, blue or green"
do not):

- a negation covers the next value and those of the same field after it, and reaches a value of another field only
  over a join ("no stripes or leather"); behind a value it covers the values before it (黑色不要);
- in a negated compound ("no denim jackets") the category stays out of it: the rest is excluded; "no dresses in black"
  is the same said the other way round;
- "ideally" and its like make the values after them soft, up to a "must"; "if possible" and its like the value before
  them; never a category beside other values: 最好是棉的连衣裙 asks for a dress. Everything else is hard;
- "no frilly dresses" negates what is not understood, and asks for dresses; so does "without a zip in grey" for grey;
- "wool-free" excludes the word right before it, 没有白色的话灰色也可以 asks for either;
- a general noun behind a narrower one adds nothing (高跟的鞋子), nor is it negated with it;
- between two values of an ordered field "to" means all from the one to the other: spring to fall.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from fvrec.rerank.clauses import dropped_fields, split_clauses, unrecognised_spans
from fvrec.rerank.lexicon import FIELD, FILLER, Token
from fvrec.rerank.preference import CATEGORY, Mention, Strength, softened
from fvrec.schema import UNKNOWN, VALUES

_LEAVES_UNKNOWN = frozenset({"in", "for", "with"})
"""Words that end the scope of a negation of something unknown: "without a zip in grey"."""

Mode = Literal["want", "exclude", "withdraw"]

_DESCRIBING = frozenset({"color", "material", "pattern", "fit", "sleeve_length", "neckline"})
"""Fields whose values describe the noun before them; the others open a thought of their own ("no boots for winter")."""
_CYCLIC = frozenset({"season"})
_ORDERED = _CYCLIC | {"sleeve_length"}


@dataclass(frozen=True)
class Request:
    """What one text asks: mentions in order, fields it no longer cares for, and how it treats the standing request.

    ``added``: fields whose new values stand beside the standing ones rather than in their place.
    """

    mentions: tuple[Mention, ...]
    dropped: frozenset[str]
    added: frozenset[str]
    resets: bool
    unrecognised: tuple[tuple[int, int], ...]


def read_request(tokens: Sequence[Token]) -> Request:
    """The request that the tokens make (see the module's docstring)."""
    said = _Said()
    dropped: set[str] = set()
    added: set[str] = set()
    opens_with_join = bool(tokens) and tokens[0].has("join") and not tokens[0].has("settle")
    for clause in split_clauses(tokens):
        named = dropped_fields(clause)
        dropped |= named
        read = _ClauseReader(clause, named).read()
        if opens_with_join or _adds(clause):
            added |= {mention.field for mention in read}
        said.add(read, gives_way=any(token.has("replace") for token in clause))
        opens_with_join = False
    return Request(
        mentions=tuple(mention for mention in said.mentions if mention is not None),
        dropped=frozenset(dropped),
        added=frozenset(added),
        resets=any(token.has("reset") for token in tokens),
        unrecognised=unrecognised_spans(tokens),
    )


class _Said:
    """The mentions of all clauses; those that later ones replaced are None."""

    def __init__(self) -> None:
        self.mentions: list[Mention | None] = []
        self._wanted_at: dict[str, list[int]] = {}

    def add(self, read: Sequence[Mention], *, gives_way: bool) -> None:
        """把黑色换成红色: where ``gives_way``, a wish said before makes room for what ``read`` says of its field."""
        for name in {mention.field for mention in read} if gives_way else ():
            for at in self._wanted_at.pop(name, ()):
                self.mentions[at] = None
        for mention in read:
            if not mention.excluded:
                self._wanted_at.setdefault(mention.field, []).append(len(self.mentions))
            self.mentions.append(mention)


@dataclass
class _ClauseReader:
    """Reads one clause from left to right; the fields below ``dropped`` are its state between two tokens."""

    clause: Sequence[Token]
    dropped: set[str]
    found: list[Mention] = field(default_factory=list)
    mode: Mode = "want"
    mode_field: str | None = None
    strength: Strength = "hard"
    joined: bool = False
    ranging: bool = False
    swapping: bool = False
    given_up: int = 0
    preferring: bool = False
    faces_unknown: bool = False
    last_noun: int = -1

    def read(self) -> list[Mention]:
        self.preferring = any(token.has("soft") for token in self.clause)
        last_value = max((at for at, token in enumerate(self.clause) if token.values), default=-1)
        self.last_noun = max((at for at, token in enumerate(self.clause) if CATEGORY in token.values), default=-1)
        for at, token in enumerate(self.clause):
            if token.values:
                self._value(token)
            elif not self._stands_behind(at, last_value):
                self._operator(at, token)
        return softened(self._either() if _adds(self.clause) else self.found, self.clause)

    def _either(self) -> list[Mention]:
        """没有白色，灰色也可以 or "if no white, grey is fine": lacking the one, the other; both are welcome."""
        lacking = [token.end for token in self.clause if token.has("lacking")]
        if not lacking or self.found[-1:] == [] or lacking[0] > self.found[-1].start:
            return self.found
        names = {m.field for m in self.found if m.start >= lacking[0]}
        return [
            replace(m, excluded=False, strength="hard") if m.start >= lacking[0] and m.field in names else m
            for m in self.found
        ]

    def _operator(self, at: int, token: Token) -> None:
        following = self.clause[at + 1] if at + 1 < len(self.clause) else None
        if self.faces_unknown and (token.word in _LEAVES_UNKNOWN or self._describes_a_noun(at, token)):
            self._enter("want", "hard")
        if token.entry is None and self.mode == "exclude" and self.mode_field is None:
            self.faces_unknown = True
        if token.has("negate_glued") and at and self.clause[at - 1].values and self.found:
            self._exclude_glued(self.clause[at - 1])
        self.joined = self.joined or token.has("join")
        self.ranging = token.has("range") or (self.ranging and token.has(FILLER))
        if token.has("swap"):
            self.swapping = True
        elif token.has("swap_to") and self.swapping and self.found:
            self.given_up, self.swapping, self.ranging = len(self.found), False, False
        if token.has("withdraw"):
            self._enter("withdraw", "hard")
        elif token.has("negate_softly") or self._rejects_gently(token, following):
            self._enter("exclude", "soft")
        elif token.has("negate") or (self.dropped and token.has("but")):
            self._enter("exclude", "hard")
        elif token.has(FIELD) and token.entry is not None and token.entry.field_name in self.dropped:
            self._enter("want", "hard")

    def _describes_a_noun(self, at: int, token: Token) -> bool:
        """不要太露的派对裙: what is too much is described up to 的, and the noun comes behind it."""
        return token.word == "的" and at < self.last_noun

    def _exclude_glued(self, named: Token) -> None:
        """ "wool-free": nothing but the word right before it."""
        of_word = [name for name in named.values if name != CATEGORY] or list(named.values)
        kept = [mention for mention in self.found if mention.start != named.start]
        self.found = kept + [self._mention(name, named, "exclude") for name in of_word]

    def _enter(self, mode: Mode, strength: Strength) -> None:
        self.mode, self.mode_field, self.strength, self.faces_unknown = mode, None, strength, False

    def _rejects_gently(self, token: Token, following: Token | None) -> bool:
        if following is None or not following.values:
            return False
        return token.has("excess") or (token.has("preferred_to") and self.preferring and bool(self.found))

    def _value(self, token: Token) -> None:
        fields = self._fields(token)
        if token.entry is not None and token.entry.rules_out:
            self.found += [self._mention(name, token, "exclude") for name in fields]
            return
        if fields and self.given_up:
            kept = [mention for mention in self.found[: self.given_up] if mention.field not in fields]
            self.found, self.given_up = kept + self.found[self.given_up :], 0
        ranged = self._range(token) if self.ranging else None
        made = [self._mention(name, token, self.mode) for name in fields]
        self.found += [replace(mention, values=ranged or mention.values) for mention in made]
        self.mode_field = fields[-1] if fields else self.mode_field
        self.joined = self.ranging = False

    def _fields(self, token: Token) -> list[str]:
        """The fields that the token speaks of here; the mode may end with it, or pass over a noun to its feature."""
        fields = list(token.values)
        general = self._is_general_noun(token)
        leaves = CATEGORY in fields or token.word in _LEAVES_UNKNOWN
        if self.faces_unknown and self.mode_field is None and leaves:
            self.mode = "want"
        if self.mode != "want" and self.mode_field is not None and not self.joined and self.mode_field not in fields:
            if self.mode == "exclude" and self.mode_field == CATEGORY and _DESCRIBING & set(fields):
                self.found[-1] = replace(self.found[-1], excluded=False, strength="hard")
            else:
                self.mode = "want"
        if general:
            # "no stiletto shoes" is one noun; 不要高跟的鞋 asks for shoes.
            one_noun = self.mode == "want" or token.start - self.found[-1].end <= int(token.word.isascii())
            self.mode = "want"
            return [name for name in fields if name != CATEGORY] if one_noun else fields
        if self.mode != "want" and len(fields) > 1:
            return [name for name in fields if name != CATEGORY]
        return fields

    def _is_general_noun(self, token: Token) -> bool:
        last = self.found[-1] if self.found else None
        return not self.joined and last is not None and last.field == CATEGORY and last.values < _category(token)

    def _mention(self, name: str, token: Token, mode: Mode) -> Mention:
        strength = self.strength if mode == "exclude" else "hard"
        excluded, withdrawn = mode == "exclude", mode == "withdraw"
        return Mention(name, token.values[name], excluded, strength, token.start, token.end, withdrawn, self.joined)

    def _range(self, token: Token) -> frozenset[str] | None:
        last = self.found[-1] if self.found else None
        if last is None or list(token.values) != [last.field] or last.field not in _ORDERED:
            return None
        (first, *more), (final, *others) = sorted(last.values), sorted(token.values[last.field])
        return None if more or others else _between(last.field, first, final)

    def _stands_behind(self, at: int, last_value: int) -> bool:
        """Excludes what is before a negation that has nothing after it to negate; says whether it did."""
        token = self.clause[at]
        gently = token.has("negate_before_softly")
        if not (gently or token.has("negate_before")) or not self.found or self._faces_unknown(at):
            return False
        glued = token.has("negate_suffix") and self.mode != "exclude"
        if at < last_value and not glued and not self._ends_at_blank(at):
            return False
        self._exclude_before("soft" if gently else "hard")
        return True

    def _faces_unknown(self, at: int) -> bool:
        following = self.clause[at + 1] if at + 1 < len(self.clause) else None
        return following is not None and following.entry is None

    def _ends_at_blank(self, at: int) -> bool:
        """黑色不要 白色可以: in Chinese a blank may stand for a comma."""
        before, token, after = self.clause[at - 1], self.clause[at], self.clause[at + 1]
        return not token.word.isascii() and before.end == token.start and token.end < after.start

    def _exclude_before(self, strength: Strength) -> None:
        at = len(self.found) - 1
        last = self.found[at]
        of_one_word = at > 0 and self.found[at - 1].start == last.start
        if of_one_word:
            self.found = [m for m in self.found if m.start != last.start or m.field != CATEGORY]
            at = len(self.found) - 1
        elif at and last.field == CATEGORY and not last.joined and _describes(self.found[at - 1]):
            at -= 1
        while at >= 0:
            self.found[at] = replace(self.found[at], excluded=True, strength=strength)
            before = self.found[at - 1] if at else None
            listed = before is not None and (self.found[at].joined or before.field == self.found[at].field)
            if before is None or before.excluded or not listed:
                break
            at -= 1


def _adds(clause: Sequence[Token]) -> bool:
    """A word such as "also" adds; "too" only where no value follows it ("red too", not "too formal")."""
    last_value = max((at for at, token in enumerate(clause) if token.values), default=-1)
    return any(token.has("add") and not (token.has("excess") and at < last_value) for at, token in enumerate(clause))


def _describes(mention: Mention) -> bool:
    return mention.field in _DESCRIBING and not mention.excluded


def _category(token: Token) -> frozenset[str]:
    return token.values.get(CATEGORY, frozenset())


def _between(name: str, first: str, last: str) -> frozenset[str]:
    order = [value for value in VALUES[name] if value != UNKNOWN]
    begin, end = order.index(first), order.index(last)
    if begin > end and name not in _CYCLIC:
        begin, end = end, begin
    steps = (end - begin) % len(order)
    return frozenset(order[(begin + step) % len(order)] for step in range(steps + 1))
