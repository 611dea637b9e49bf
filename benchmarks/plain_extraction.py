"""The plain way to read attributes, to compare with: ``generate`` of the whole JSON after the whole prompt.

The same language model size and the same image features as ours, but a general byte-level BPE of 6,400 words and no
knowledge of the schema; and the same again with a grammar (``llguidance`` as a logits processor), so that what comes
out is valid.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList, PreTrainedTokenizerFast

from fvrec.config import LanguageModelSize
from fvrec.prompts import DESCRIPTION_LABEL, PROMPT_PREFIX, PROMPT_SUFFIX, TURN_END, TURN_START
from fvrec.schema import FIELDS, UNKNOWN, VALUES, render_answer
from fvrec.vlm.collate import Encoder, FeatureSource, image_features, pad
from fvrec.vlm.model import MiniMindVLM, new_model
from fvrec.vlm.samples import Sample
from fvrec.vlm.tokenizer import IMAGE_TOKEN, PAD_TOKEN, token_id
from fvrec.vlm.towers import Tower

WORDS = 6400
ANSWER_TOKENS = 237
"""The whole JSON in MiniMind's own tokenizer of 6,400 words."""


def general_tokenizer(titles: Sequence[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE with MiniMind's vocabulary size, learned on the titles and the prompt.

    Every word of the prompt is seen often enough to be learned whole, so that the plain side's prompt is rather shorter
    than in MiniMind's own tokenizer.
    """
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=WORDS,
        min_frequency=2,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[PAD_TOKEN, TURN_START, TURN_END, IMAGE_TOKEN],
        show_progress=False,
    )
    core.train_from_iterator([*titles, *[PROMPT_PREFIX, PROMPT_SUFFIX, DESCRIPTION_LABEL] * 2], trainer=trainer)
    # What the corpus is too small to teach is filled up, so that the output layer has MiniMind's size.
    core.add_tokens([f"<|reserved_{number}|>" for number in range(WORDS - core.get_vocab_size())])
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token=PAD_TOKEN, eos_token=TURN_END, clean_up_tokenization_spaces=False
    )


class PlainExtractor:
    """``generate`` with random weights in bfloat16. ``grammar``: force the schema with llguidance."""

    def __init__(self, size: LanguageModelSize, tower: Tower, tokenizer: PreTrainedTokenizerFast, *, grammar: bool):
        self.tokenizer = tokenizer
        image_id = token_id(tokenizer, IMAGE_TOKEN)
        model = new_model(size, tower, vocabulary=len(tokenizer), image_token_id=image_id, seed=1)
        self.model: MiniMindVLM = model.eval().requires_grad_(False).to(torch.bfloat16)
        self.model.llm.set_attn_implementation("sdpa")
        self.encoder = Encoder(tokenizer, model.config.visual_positions, max_length=4096)
        self._grammar = _Grammar(tokenizer) if grammar else None

    @torch.inference_mode()
    def answer(self, samples: Sequence[Sample], features: FeatureSource) -> list[str]:
        """The texts written: exactly ``ANSWER_TOKENS`` each, or the whole JSON under the grammar."""
        prompts = [self.encoder.prompt_ids(sample) for sample in samples]
        pad_id = int(self.tokenizer.pad_token_id)
        given = image_features(samples, features)
        processors = [] if self._grammar is None else [self._grammar.processor(len(samples))]
        generated = self.model.llm.generate(
            inputs_embeds=self.model.embed(pad(prompts, pad_id, "left"), given),
            attention_mask=pad([[1] * len(prompt) for prompt in prompts], 0, "left"),
            max_new_tokens=ANSWER_TOKENS * (1 if self._grammar is None else 2),
            min_new_tokens=ANSWER_TOKENS if self._grammar is None else None,
            do_sample=False,
            pad_token_id=pad_id,
            eos_token_id=int(self.tokenizer.eos_token_id),
            logits_processor=LogitsProcessorList(processors),
        )
        return [str(text) for text in self.tokenizer.batch_decode(generated, skip_special_tokens=True)]


def answer_length(tokenizer: PreTrainedTokenizerFast) -> int:
    """Tokens of a whole answer in this tokenizer."""
    text = render_answer(dict.fromkeys(FIELDS, UNKNOWN), dict.fromkeys(FIELDS, 0.1))
    return len(tokenizer(text, add_special_tokens=False)["input_ids"])


class _Grammar:
    """The strict answer as a regular expression, compiled once for a tokenizer."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        from llguidance import LLMatcher
        from llguidance.hf import from_tokenizer

        self._tokenizer: Any = from_tokenizer(tokenizer, n_vocab=len(tokenizer))
        self._compiled = LLMatcher.grammar_from_regex(_answer_pattern())

    def processor(self, rows: int) -> LogitsProcessor:
        from llguidance import LLMatcher

        return _Processor(self._tokenizer, [LLMatcher(self._tokenizer, self._compiled) for _ in range(rows)])


class _Processor(LogitsProcessor):
    """Tell each row's matcher the token it took, then forbid what may not follow."""

    def __init__(self, tokenizer: Any, matchers: list[Any]) -> None:
        self._matchers = matchers
        self._words = tokenizer.vocab_size
        self._mask = np.zeros((len(matchers), (self._words + 31) // 32), dtype=np.int32)
        self._started = False

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        for row, matcher in enumerate(self._matchers):
            if self._started and not matcher.is_stopped():
                matcher.consume_token(int(input_ids[row, -1]))
            line = self._mask[row]
            matcher.unsafe_compute_mask_ptr(line.ctypes.data, line.nbytes)
        self._started = True
        allowed = np.unpackbits(self._mask.view(np.uint8), axis=1, bitorder="little")[:, : scores.shape[1]]
        return scores.masked_fill_(torch.from_numpy(allowed == 0), float("-inf"))


def _answer_pattern() -> str:
    values = ",".join(f'"{field}":"({"|".join(VALUES[field])})"' for field in FIELDS)
    steps = ",".join(f'"{field}":0\\.[0-9]' for field in FIELDS)
    return f'\\{{{values},"confidence":\\{{{steps}\\}}\\}}'
