"""Extraction: image + title -> the model's text -> strict parse.

Mode ``raw``: plain greedy generation, nothing forced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fvrec.records import Prediction
from fvrec.schema import parse_answer
from fvrec.vlm.collate import Encoder, image_features, pad
from fvrec.vlm.features import FeatureCache
from fvrec.vlm.model import MiniMindVLM, load_model
from fvrec.vlm.samples import Sample
from fvrec.vlm.tokenizer import load_tokenizer
from fvrec.vlm.weights import apply_adapter

Progress = Callable[[Iterable[Any]], Iterable[Any]]
MAX_NEW_TOKENS = 64
"""Twice what an answer takes: a model that has not ended by then is judged on what it wrote."""


@dataclass(frozen=True)
class Extractor:
    """A model ready to write answers. ``name``: ``base``, ``sft`` or ``lora``."""

    name: str
    model: MiniMindVLM
    encoder: Encoder

    @classmethod
    def load(cls, name: str, *, base: Path, tokenizer: Path, adapter: Path | None, max_length: int) -> Extractor:
        """Base checkpoint, its tokenizer, and the adapter (None: the bare base). FvrecError on a bad folder."""
        model = load_model(base)
        if adapter is not None:
            model = apply_adapter(model, adapter)
        model.eval().requires_grad_(False)
        return cls(name, model, Encoder(load_tokenizer(tokenizer), model.config.visual_positions, max_length))

    def extract(
        self, samples: Sequence[Sample], cache: FeatureCache, *, batch_size: int = 128, progress: Progress = iter
    ) -> list[Prediction]:
        """One prediction a sample, in order. Samples of one length go together, so that little is padded."""
        prompts = [self.encoder.prompt_ids(sample) for sample in samples]
        order = sorted(range(len(samples)), key=lambda index: (samples[index].inputs, len(prompts[index])))
        batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
        texts: dict[int, str] = {}
        for batch in progress(batches):
            written = self._write([samples[i] for i in batch], [prompts[i] for i in batch], cache)
            texts.update(zip(batch, written, strict=True))
        return [_judge(sample, self.name, texts[index]) for index, sample in enumerate(samples)]

    @torch.inference_mode()
    def _write(self, samples: list[Sample], prompts: list[list[int]], cache: FeatureCache) -> list[str]:
        tokenizer = self.encoder.tokenizer
        input_ids = pad(prompts, int(tokenizer.pad_token_id), "left")
        mask = pad([[1] * len(prompt) for prompt in prompts], 0, "left")
        embedded = self.model.embed(input_ids, image_features(samples, cache))
        generated = self.model.llm.generate(
            inputs_embeds=embedded,
            attention_mask=mask,
            max_new_tokens=MAX_NEW_TOKENS,
            do_sample=False,
            pad_token_id=int(tokenizer.pad_token_id),
            eos_token_id=int(tokenizer.eos_token_id),
        )
        return [self._text(row) for row in generated.tolist()]

    def _text(self, ids: list[int]) -> str:
        """What was written before the end mark; without an end mark, everything (which then is no valid JSON)."""
        end = int(self.encoder.tokenizer.eos_token_id)
        answer = ids[: ids.index(end)] if end in ids else ids
        return str(self.encoder.tokenizer.decode(answer, skip_special_tokens=False))


def _judge(sample: Sample, model: str, text: str) -> Prediction:
    result = parse_answer(text)
    answer = result.answer
    return Prediction(
        item_id=sample.item_id,
        model=model,
        inputs=sample.inputs,
        mode="raw",
        raw_output=text,
        json_valid=result.json_valid,
        schema_valid=result.schema_valid,
        error=result.error,
        error_class=result.error_class,
        attributes=dict(answer.attributes) if answer else {},
        confidence=dict(answer.confidence) if answer else {},
    )
