"""Samples -> padded batches of ids, labels and image features."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from fvrec.errors import FvrecError
from fvrec.prompts import IMAGE_PLACEHOLDER, Message, render_prompt, with_texts
from fvrec.vlm.features import FeatureCache, view_key
from fvrec.vlm.model import IGNORED
from fvrec.vlm.samples import Sample
from fvrec.vlm.tokenizer import IMAGE_TOKEN, enum_values


@dataclass(frozen=True)
class Encoded:
    """Ids of a sample: the prompt with the image expanded to its positions, and the target with its end mark."""

    prompt: list[int]
    target: list[int]


@dataclass(frozen=True)
class Fitted:
    """A sample whose texts are short enough, and the ids of its prompt."""

    sample: Sample
    ids: list[int]


class FeatureSource(Protocol):
    """Whoever has image features at hand: a ``FeatureCache``, or what was just encoded."""

    @property
    def tower_name(self) -> str:
        """Whose features they are; empty where it is not known, or there are none."""
        ...

    def rows(self, sha256s: Sequence[str]) -> NDArray[np.float16]:
        """``[B, T, D]`` in the order asked."""
        ...


@dataclass(frozen=True)
class Encoder:
    """Text of a sample -> ids. ``visual_positions``: LLM positions of one image."""

    tokenizer: PreTrainedTokenizerFast
    visual_positions: int
    max_length: int

    def __call__(self, sample: Sample) -> Encoded:
        """FvrecError when even without title and description the sample is longer than ``max_length``."""
        target = [*self._ids(sample.target), int(self.tokenizer.eos_token_id)]
        return Encoded(self.fit(sample, len(target)).ids, target)

    def fit(self, sample: Sample, answer: int) -> Fitted:
        """Shorten the sample's texts until its prompt and ``answer`` more ids are within ``max_length``.

        FvrecError when even without title and description they are not.
        """
        room = self.max_length - answer
        prompt = self.prompt_ids(sample)
        while len(prompt) > room:
            shorter = _shorten(sample)
            if shorter == sample:
                raise FvrecError("a sample is longer than max_length", found=len(prompt) + answer, where=sample.item_id)
            sample, prompt = shorter, self.prompt_ids(shorter)
        return Fitted(sample, prompt)

    def prompt_ids(self, sample: Sample) -> list[int]:
        """Ids of the prompt alone. In title and description no text is read as one of the tokenizer's own marks."""
        prompt = render_prompt(with_texts(sample.messages, self._unmarked))
        return self._ids(prompt.replace(IMAGE_PLACEHOLDER, IMAGE_TOKEN * self.visual_positions))

    def _unmarked(self, text: str) -> str:
        while (shorter := self._marks.sub(" ", text)) != text:
            text = shorter
        return text

    @cached_property
    def _marks(self) -> re.Pattern[str]:
        """Texts of the added tokens, apart from the enum values: those are words, and titles may hold words."""
        added = {token.content for token in self.tokenizer.added_tokens_decoder.values()}
        marks = sorted((mark for mark in added - set(enum_values()) if mark.strip()), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, marks)) or "(?!)")

    def length(self, sample: Sample) -> int:
        """LLM positions of prompt and target together."""
        encoded = self(sample)
        return len(encoded.prompt) + len(encoded.target)

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])


def _shorten(sample: Sample) -> Sample:
    """Cut the longest line of the user's turn by half: that is the title or the description, never the constants."""
    *before, user = sample.messages
    lines = user.content.split("\n")
    longest = max(range(2, len(lines)), key=lambda index: len(lines[index]), default=None) if len(lines) > 2 else None
    if longest is None or len(lines[longest]) < 20:
        return sample
    lines[longest] = lines[longest][: len(lines[longest]) // 2]
    return replace(sample, messages=(*before, Message("user", "\n".join(lines))))


def pad(rows: Sequence[Sequence[int]], value: int, side: Literal["left", "right"]) -> Tensor:
    """``[B, L]`` int64, filled with ``value``."""
    width = max(len(row) for row in rows)
    out = torch.full((len(rows), width), value, dtype=torch.long)
    for index, row in enumerate(rows):
        if side == "right":
            out[index, : len(row)] = torch.tensor(row, dtype=torch.long)
        else:
            out[index, width - len(row) :] = torch.tensor(row, dtype=torch.long)
    return out


def image_features(samples: Sequence[Sample], cache: FeatureSource) -> Tensor | None:
    """``[I, T, D]`` float32 of the samples that show an image, in their order; None when none does."""
    keys = [view_key(sample.image_sha256, sample.view) for sample in samples if sample.image_sha256]
    if not keys:
        return None
    return torch.from_numpy(cache.rows(keys).astype(np.float32))


@dataclass(frozen=True)
class TrainingCollator:
    """Batch for training, padded on the right; labels cover the target alone (the prompt is masked)."""

    encoder: Encoder
    cache: FeatureCache

    def __call__(self, samples: Sequence[Sample]) -> dict[str, Tensor]:
        encoded = [self.encoder(sample) for sample in samples]
        pad_id = int(self.encoder.tokenizer.pad_token_id)
        rows = [one.prompt + one.target for one in encoded]
        batch = {
            "input_ids": pad(rows, pad_id, "right"),
            "attention_mask": pad([[1] * len(row) for row in rows], 0, "right"),
            "labels": pad([[IGNORED] * len(one.prompt) + one.target for one in encoded], IGNORED, "right"),
        }
        features = image_features(samples, self.cache)
        if features is not None:
            batch["features"] = features
        return batch
