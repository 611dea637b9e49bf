"""Constrained decoding against a decode that is as slow and as plain as can be: one token at a time, nothing cached.

The reference knows no trie: after each token it keeps the answers that still begin with what was written, and the
model may pick among their next tokens.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, PreTrainedTokenizerFast, Qwen3Config

from fvrec.errors import FvrecError
from fvrec.prompts import PROMPT_SUFFIX, TURN_START
from fvrec.schema import FIELDS, VALUES, parse_answer
from fvrec.vlm.constrained import ConstrainedDecoder
from fvrec.vlm.grammar import AnswerGrammar, agrees_with_text, build_grammar
from fvrec.vlm.model import MiniMindVLM, MiniMindVlmConfig
from fvrec.vlm.tokenizer import IMAGE_TOKEN, token_id

from . import tokenizers

STREAMS, IMAGE_TOKENS = (6, 3), 4
KINDS: dict[str, Callable[[], PreTrainedTokenizerFast]] = {
    "catalogue": tokenizers.catalogue,
    "general": tokenizers.general,
    "merging": tokenizers.merging,
    "bytewise": tokenizers.bytewise,
}


def random_model(tokenizer: PreTrainedTokenizerFast, seed: int, family: str = "qwen3") -> MiniMindVLM:
    """Weights far enough from zero that every position and every image cell matters to what comes next."""
    torch.manual_seed(seed)
    shape = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "tie_word_embeddings": True,
        "max_position_embeddings": 4096,
    }  # fmt: skip
    llm = Qwen3Config(**shape) if family == "qwen3" else LlamaConfig(**shape)
    config = MiniMindVlmConfig(
        image_tokens=IMAGE_TOKENS,
        streams=STREAMS,
        image_token_id=token_id(tokenizer, IMAGE_TOKEN),
        llm={"model_type": family, **llm.to_diff_dict()},
        tie_word_embeddings=True,
    )
    model = MiniMindVLM(config).eval().requires_grad_(False)
    for weight in model.parameters():
        if weight.ndim > 1:
            weight.normal_(0.0, 0.3)
    return model


@dataclass(frozen=True)
class Question:
    """One prompt as ids, with its image's features or None."""

    ids: list[int]
    features: torch.Tensor | None


LONG_RUN = os.environ.get("FVREC_LONG_TESTS") == "1"
OPENING = f"{TURN_START}user\nname what the picture shows, in JSON\n标题: "
"""Shorter than the real prompt, so that the slow decode ends; in every tokenizer but ours still longer than what is
copied."""


def question(tokenizer: PreTrainedTokenizerFast, title: str, *, image: bool, seed: int) -> Question:
    text = f"{OPENING}{title}\n{IMAGE_TOKEN * IMAGE_TOKENS if image else ''}{PROMPT_SUFFIX}"
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(1, IMAGE_TOKENS, sum(STREAMS), generator=generator) if image else None
    return Question(tokenizer(text, add_special_tokens=False)["input_ids"], features)


@dataclass(frozen=True)
class Slow:
    """What the reference reads: the chosen index, and every value's log-probability."""

    greedy: int
    log_probs: np.ndarray


@torch.inference_mode()
def slow_decode(model: MiniMindVLM, grammar: AnswerGrammar, asked: Question) -> dict[str, Slow]:
    """A masked greedy decode, one forward pass over everything a token."""

    @cache
    def next_logits(*ids: int) -> torch.Tensor:
        embedded = model.embed(torch.tensor([list(ids)]), asked.features)
        return model.llm(inputs_embeds=embedded, use_cache=False).logits[0, -1]

    def score(before: list[int], sequences: Sequence[tuple[int, ...]], done: int) -> list[float]:
        """Log-probability of each sequence whose first ``done`` tokens are in ``before``."""
        if len(sequences) == 1:
            return [0.0]
        allowed = sorted({sequence[done] for sequence in sequences})
        logs = torch.log_softmax(next_logits(*before)[allowed], dim=0) if len(allowed) > 1 else torch.zeros(1)
        found = {}
        for token, log in zip(allowed, logs.tolist(), strict=True):
            below = [sequence for sequence in sequences if sequence[done] == token]
            deeper = score([*before, token], below, done + 1)
            found |= {sequence: log + more for sequence, more in zip(below, deeper, strict=True)}
        return [found[sequence] for sequence in sequences]

    written = [*asked.ids, *grammar.opening]
    readings = {}
    for field, trie in grammar.tries.items():
        log_probs = np.array(score(written, trie.sequences, 0))
        left, done = list(trie.sequences), 0
        while not (len(left) == 1 and done == len(left[0])):
            logits = next_logits(*written)
            forbidden = torch.full_like(logits, float("-inf"))
            forbidden[[sequence[done] for sequence in left]] = 0.0
            token = int((logits + forbidden).argmax())
            written.append(token)
            left = [sequence for sequence in left if sequence[done] == token]
            done += 1
        readings[field] = Slow(trie.sequences.index(left[0]), log_probs)
    return readings


def assert_same(
    model: MiniMindVLM, grammar: AnswerGrammar, questions: Sequence[Question], prefix: Sequence[int], pad_id: int
) -> None:
    features = [asked.features for asked in questions if asked.features is not None]
    decoder = ConstrainedDecoder(model, grammar, pad_id=pad_id, prefix_ids=prefix)
    fast = decoder.decode([asked.ids for asked in questions], torch.cat(features) if features else None)
    for row, asked in enumerate(questions):
        slow = slow_decode(model, grammar, asked)
        assert {field: int(fast[field].greedy[row]) for field in slow} == {f: s.greedy for f, s in slow.items()}
        for field, expected in slow.items():
            np.testing.assert_allclose(fast[field].log_probs[row], expected.log_probs, atol=2e-4, err_msg=field)


WORDS = st.text(alphabet="ab_v -é连", min_size=1, max_size=6)
ENUMS = st.lists(st.lists(WORDS, min_size=1, max_size=7, unique=True), min_size=1, max_size=3)


def random_grammar(tokenizer: PreTrainedTokenizerFast, enums: list[list[str]]) -> AnswerGrammar:
    values = {f"f{number}": tuple(words) for number, words in enumerate(enums)}
    names = list(values)
    pieces = [f'{{"{names[0]}":"', *(f'","{name}":"' for name in names[1:]), '"}']
    return build_grammar(tokenizer, values, pieces)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    enums=ENUMS,
    titles=st.lists(st.text(max_size=12), min_size=1, max_size=4),
    seed=st.integers(0, 10_000),
    family=st.sampled_from(["qwen3", "llama"]),
    prefix=st.sampled_from([0, 5, 10_000]),
)
def test_the_values_are_those_of_a_masked_token_by_token_decode(
    kind: str, enums: list[list[str]], titles: list[str], seed: int, family: str, prefix: int
) -> None:
    tokenizer = KINDS[kind]()
    enums[0] = [*dict.fromkeys([*enums[0], "v", "v_neck", "v_nec"])]
    questions = [
        question(tokenizer, title, image=(seed + number) % 3 > 0, seed=seed + number)
        for number, title in enumerate(titles)
    ]
    ids = tokenizer(OPENING, add_special_tokens=False)["input_ids"]
    model = random_model(tokenizer, seed, family)
    assert_same(model, random_grammar(tokenizer, enums), questions, ids[:prefix], tokenizer.pad_token_id)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", ["qwen3", "llama"])
def test_the_ten_fields_of_the_schema_too(kind: str, family: str) -> None:
    tokenizer = KINDS[kind]()
    questions = [question(tokenizer, title, image=True, seed=1) for title in ("", "Nike 女士 dress")]
    ids = tokenizer(OPENING, add_special_tokens=False)["input_ids"]
    grammar = build_grammar(tokenizer)
    assert_same(random_model(tokenizer, 5, family), grammar, questions, ids, tokenizer.pad_token_id)


@pytest.mark.parametrize("kind", KINDS)
def test_random_weights_only_write_what_the_schema_allows(kind: str) -> None:
    """10,000 decodes in the long run; every distribution sums to 1 and the text passes the strict parser."""
    tokenizer = KINDS[kind]()
    grammar = build_grammar(tokenizer)
    rows = 100
    for seed in range(25 if LONG_RUN else 1):
        model = random_model(tokenizer, seed)
        asked = [question(tokenizer, f"title {number}", image=True, seed=number) for number in range(rows)]
        features = torch.cat([one.features for one in asked if one.features is not None])
        decoder = ConstrainedDecoder(model, grammar, pad_id=int(tokenizer.pad_token_id))
        decoded = decoder.decode([one.ids for one in asked], features)
        for field, read in decoded.items():
            np.testing.assert_allclose(np.exp(read.log_probs.astype(np.float64)).sum(axis=1), 1.0, atol=1e-4)
            assert read.log_probs.shape == (rows, len(VALUES[field]))
        for row in range(rows):
            chosen = {field: int(read.greedy[row]) for field, read in decoded.items()}
            written = tokenizer.decode(grammar.canonical_ids(chosen), skip_special_tokens=False)
            rest = ",".join(f'"{field}":0.5' for field in FIELDS[1:])
            parsed = parse_answer(f"{written}0.5,{rest}}}}}")
            assert parsed.schema_valid, parsed.error
            assert parsed.answer is not None
            assert parsed.answer.attributes == {field: VALUES[field][index] for field, index in chosen.items()}


def test_bfloat16_decodes_within_the_schema_and_leaves_the_model_as_it_was() -> None:
    tokenizer = tokenizers.catalogue()
    model = random_model(tokenizer, 3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    decoder = ConstrainedDecoder(model, build_grammar(tokenizer), pad_id=0, dtype=torch.bfloat16)
    decoded = decoder.decode([question(tokenizer, "shoe", image=False, seed=0).ids], None)
    assert all(0 <= int(read.greedy[0]) < len(VALUES[field]) for field, read in decoded.items())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_what_stands_beside_it_in_the_batch_does_not_change_a_reading() -> None:
    tokenizer = tokenizers.general()
    decoder = ConstrainedDecoder(random_model(tokenizer, 9), build_grammar(tokenizer), pad_id=tokenizer.pad_token_id)
    asked = [question(tokenizer, title, image=False, seed=0).ids for title in ("a", "a much longer title 女士" * 3)]
    alone = [decoder.decode([ids], None) for ids in asked]
    together = decoder.decode(asked, None)
    for row, one in enumerate(alone):
        for field in FIELDS:
            np.testing.assert_allclose(together[field].log_probs[row], one[field].log_probs[0], atol=1e-4)


def test_the_canonical_tokenisation_is_that_of_the_text_where_tokens_stop_at_quotes() -> None:
    agreeing = {kind: agrees_with_text(build_grammar(make()), make()) for kind, make in KINDS.items()}
    assert agreeing == {"catalogue": True, "general": True, "merging": False, "bytewise": True}


def test_ours_takes_20_tokens_up_to_the_last_value_and_31_with_the_confidences() -> None:
    """10 pieces and 10 values, then the bridge; the 10 confidences after it are computed here, not decoded."""
    tokenizer = tokenizers.catalogue()
    grammar = build_grammar(tokenizer)
    assert len(grammar.canonical_ids(dict.fromkeys(FIELDS, 0))) == 20 + 1
    assert all(not trie.nodes for trie in grammar.tries.values()), "each value is told apart by its first token"


def test_a_tokenizer_that_cannot_write_an_answer_is_refused() -> None:
    core = Tokenizer(models.WordLevel({"[UNK]": 0, "dress": 1}, unk_token="[UNK]"))
    with pytest.raises(FvrecError, match="does not give a part of an answer back"):
        build_grammar(PreTrainedTokenizerFast(tokenizer_object=core, unk_token="[UNK]"))
