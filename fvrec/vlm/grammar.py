"""The answers that the schema allows, as token tries: which token may follow, and what each choice means.

**The canonical tokenisation of an answer** is ``T(opening) + T(v0 + s1) + T(v1 + s2) + ... + T(v9 + bridge)``: the
opening text, then each value *together with* the forced text behind it, every part tokenised on its own (``s1`` is the
skeleton piece ``","color":"`` before field 1; ``bridge`` opens ``confidence``, which is computed, not decoded).

A value is thus always followed by its closing quote before another value can be told apart from it: no enum value
holds a quote, so no part is a prefix of another part of its field, whatever the tokenizer does (``v`` ends in ``","``
where ``v_neck`` goes on; a tokenizer that merges ``v"`` into one token branches there instead). Where tokens never
cross from a skeleton piece into the value after it, as in every tokenizer that splits at punctuation, this is the
tokenisation of the whole text; ``agrees_with_text`` says whether it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from fvrec.errors import FvrecError
from fvrec.schema import VALUES
from fvrec.vlm.tokenizer import skeleton_pieces
from fvrec.vlm.trie import FieldTrie, build_trie

Encode = Callable[[str], list[int]]


@dataclass(frozen=True)
class AnswerGrammar:
    """``opening``: ids before the first value. ``tries``: one a field, in order; its leaves are ``values[field]``."""

    opening: tuple[int, ...]
    tries: Mapping[str, FieldTrie]
    values: Mapping[str, tuple[str, ...]]

    @property
    def longest(self) -> int:
        """Most tokens that an answer can take after the opening."""
        return sum(max(map(len, trie.sequences)) for trie in self.tries.values())

    def canonical_ids(self, chosen: Mapping[str, int]) -> list[int]:
        """Ids of the answer with ``values[field][chosen[field]]``, opening included, bridge included."""
        parts = (trie.sequences[chosen[field]] for field, trie in self.tries.items())
        return [*self.opening, *(token for part in parts for token in part)]


def build_grammar(
    tokenizer: PreTrainedTokenizerBase,
    values: Mapping[str, tuple[str, ...]] = VALUES,
    pieces: Sequence[str] | None = None,
) -> AnswerGrammar:
    """The grammar of schema v1 for a tokenizer, or of other ``values`` and their ``pieces`` (one more than fields).

    FvrecError when the tokenizer cannot write an answer: an unknown token, or text that does not come back.
    """
    texts = list(skeleton_pieces() if pieces is None else pieces)
    encode = _faithful(tokenizer)
    following = zip(values.items(), texts[1:], strict=True)
    tries = {
        field: build_trie(field, [tuple(encode(value + after)) for value in allowed])
        for (field, allowed), after in following
    }
    return AnswerGrammar(tuple(encode(texts[0])), tries, dict(values))


def agrees_with_text(grammar: AnswerGrammar, tokenizer: PreTrainedTokenizerBase) -> bool:
    """Is the canonical tokenisation also what the tokenizer makes of each whole answer text?

    Every value of every field is looked at, its neighbours being the fields' last values.
    """
    last = {field: len(allowed) - 1 for field, allowed in grammar.values.items()}
    for field, allowed in grammar.values.items():
        for index in range(len(allowed)):
            ids = grammar.canonical_ids({**last, field: index})
            if _ids(tokenizer, _text(tokenizer, ids)) != ids:
                return False
    return True


def _faithful(tokenizer: PreTrainedTokenizerBase) -> Encode:
    def encode(text: str) -> list[int]:
        ids = _ids(tokenizer, text)
        back = _text(tokenizer, ids)
        if back != text:
            raise FvrecError("the tokenizer does not give a part of an answer back", found=back, allowed=text)
        return ids

    return encode


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _text(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))
