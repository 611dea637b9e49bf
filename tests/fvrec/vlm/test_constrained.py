"""Constrained decoding against a decode that is as slow and as plain as can be: one token at a time, nothing cached.

The reference knows no trie: after each token it keeps the answers that still begin with what was written, and the
model may pick among their next tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, PreTrainedTokenizerFast, Qwen3Config

from fvrec.prompts import PROMPT_SUFFIX, TURN_START
from fvrec.vlm.constrained import ConstrainedDecoder
from fvrec.vlm.grammar import AnswerGrammar, build_grammar
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
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
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
