"""Extraction: image + title -> the ten attributes with confidences.

    Extractor.load("outputs/adapters/sft_lora").extract(["shoe.jpg"], ["Nike Men Black Shoes"])

Two modes, never mixed in one prediction. ``raw``: plain greedy generation and a strict parse; the confidences are
those that the model wrote. ``constrained``: the values are chosen within the schema (``fvrec.vlm.constrained``) and
the confidences computed from the probabilities of the choice; the answer's text then passes the same strict parse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from fvrec.errors import FvrecError
from fvrec.prompts import PROMPT_PREFIX, texts_of
from fvrec.records import Mode, Prediction
from fvrec.schema import FIELDS, UNKNOWN, VALUES, parse_answer, render_answer
from fvrec.vlm.bundle import ModelFiles, locate, tower_weights
from fvrec.vlm.calibrate import stored_calibration
from fvrec.vlm.catalogue import read_catalogue
from fvrec.vlm.collate import Encoder, FeatureSource, Fitted, image_features
from fvrec.vlm.constrained import ConstrainedDecoder, DecodedField
from fvrec.vlm.decoding_types import AnyCalibration, Cut, Decision, FieldScores, Reading, for_inputs
from fvrec.vlm.features import FeatureCache
from fvrec.vlm.generate import write_answers
from fvrec.vlm.grammar import build_grammar
from fvrec.vlm.images import ImageInput
from fvrec.vlm.model import MiniMindVLM, load_model
from fvrec.vlm.samples import Sample
from fvrec.vlm.tokenizer import load_tokenizer
from fvrec.vlm.towers import Tower, accelerator, load_tower
from fvrec.vlm.transformer_tower import pooled_by
from fvrec.vlm.weights import apply_adapter

Progress = Callable[[Iterable[Any]], Iterable[Any]]
Precision = Literal["float32", "bfloat16"]
BATCH_TOKENS = 16_384
"""A batch ends before its padded prompts hold more ids than this, so that long texts do not fill the memory."""


@dataclass(frozen=True)
class Extractor:
    """A model ready to read products. ``name``: ``base``, ``sft`` or ``lora``.

    ``precision``: of the weights in mode ``constrained``; ``bfloat16`` is faster where the processor has it, and may
    decide close calls otherwise than ``float32``. Mode ``raw`` runs in the model's own. ``calibration``: what turns the
    distributions into values and confidences; None: the decoded value and its probability.
    """

    name: str
    model: MiniMindVLM
    encoder: Encoder
    calibration: AnyCalibration | None = None
    precision: Precision = "float32"
    tower_weights: Path | None = None
    """Folder of the vision encoder's weights, for towers whose weights are in no package."""

    @classmethod
    def load(
        cls, path: Path | str, *, calibration: AnyCalibration | None = None, precision: Precision = "float32"
    ) -> Extractor:
        """A model by its folder: an adapter, the base, or an exported bundle (``fvrec.vlm.bundle``).

        calibration: left out, it is the one that was fitted for these weights, where there is one. FvrecError when a
        part is missing or damaged, or the adapter or the calibration belongs to other weights.
        """
        files = locate(Path(path))
        calibration = stored_calibration(files) if calibration is None else calibration
        return replace(cls.of(files), calibration=calibration, precision=precision)

    @classmethod
    def of(cls, files: ModelFiles) -> Extractor:
        """The parts of one model, without its calibration. FvrecError on a bad folder."""
        parts = cls.assemble(
            files.name, base=files.base, tokenizer=files.tokenizer, adapter=files.adapter, max_length=files.max_length
        )
        return replace(parts, tower_weights=tower_weights(files, parts.model.config.tower))

    @classmethod
    def assemble(cls, name: str, *, base: Path, tokenizer: Path, adapter: Path | None, max_length: int) -> Extractor:
        """Base checkpoint, its tokenizer, and the adapter (None: the bare base). FvrecError on a bad folder."""
        model = load_model(base)
        if adapter is not None:
            model = apply_adapter(model, adapter)
        model.eval().requires_grad_(False).to(accelerator())
        return cls(name, model, Encoder(load_tokenizer(tokenizer), model.config.visual_positions, max_length))

    def extract(
        self,
        images: Sequence[ImageInput | None] | None,
        titles: Sequence[str] | None = None,
        descriptions: Sequence[str] | None = None,
        *,
        mode: Mode = "constrained",
        cache: FeatureCache | None = None,
    ) -> list[Reading]:
        """One reading a product, in order. Images are paths, bytes or PIL images, None where there is none.

        An image that cannot be read gives a reading with an ``error``; texts that were cut are in its ``cuts``.
        """
        return list(self.stream(images, titles, descriptions, mode=mode, cache=cache))

    def stream(
        self,
        images: Iterable[ImageInput | None] | None,
        titles: Iterable[str] | None = None,
        descriptions: Iterable[str] | None = None,
        *,
        mode: Mode = "constrained",
        cache: FeatureCache | None = None,
        chunk: int = 256,
    ) -> Iterator[Reading]:
        """The same for any number of products: no more than two chunks of them are in memory at a time."""
        return read_catalogue(self, images, titles, descriptions, mode=mode, cache=cache, chunk=chunk)

    def predict(
        self,
        samples: Sequence[Sample],
        cache: FeatureSource,
        *,
        mode: Mode = "raw",
        batch_size: int = 128,
        progress: Progress = iter,
    ) -> list[Prediction]:
        """One prediction a sample, in order."""
        readings = self.read(samples, cache, mode=mode, batch_size=batch_size, progress=progress)
        return [reading.prediction for reading in readings]

    def read(
        self,
        samples: Sequence[Sample],
        cache: FeatureSource,
        *,
        mode: Mode = "constrained",
        batch_size: int = 128,
        progress: Progress = iter,
    ) -> list[Reading]:
        """One reading a sample, in order. Samples of one length go together, so that little is padded."""
        fitted = self._fit(samples)
        readings: dict[int, Reading] = {}
        for batch in progress(_batches(fitted, batch_size)):
            readings.update(zip(batch, self._read_batch([fitted[index] for index in batch], cache, mode), strict=True))
        return [_with_cuts(readings[index], sample, fitted[index].sample) for index, sample in enumerate(samples)]

    def plan(self, samples: Sequence[Sample], *, batch_size: int = 128) -> list[list[int]]:
        """Which samples ``read`` would read together, as indices."""
        return _batches(self._fit(samples), batch_size)

    def read_together(self, samples: Sequence[Sample], cache: FeatureSource, mode: Mode) -> list[Reading]:
        """One reading a sample of a batch that ``plan`` has made: the same that ``read`` gives, to the bit."""
        fitted = self._fit(samples)
        pairs = zip(self._read_batch(fitted, cache, mode), samples, fitted, strict=True)
        return [_with_cuts(reading, sample, one.sample) for reading, sample, one in pairs]

    def _fit(self, samples: Sequence[Sample]) -> list[Fitted]:
        return [self.encoder.fit(sample, self.answer_tokens) for sample in samples]

    def _read_batch(self, batch: Sequence[Fitted], cache: FeatureSource, mode: Mode) -> list[Reading]:
        self.require_tower(cache.tower_name)
        return self._constrained(batch, cache) if mode == "constrained" else self._raw(batch, cache)

    def require_tower(self, name: str) -> None:
        """FvrecError unless the model was trained behind the tower of that name; one that is not known is let pass."""
        wanted = self.model.config.tower
        if name not in ("", wanted):
            raise FvrecError(
                "the features are of another vision tower than the model's",
                found=name,
                allowed=f"{wanted}: the preset and FVREC_TUNE_TOWER that the model was made with",
            )

    @cached_property
    def tower(self) -> Tower:
        """The vision tower that the model was trained behind, with as many tokens an image."""
        config = self.model.config
        return pooled_by(config.image_tokens, load_tower(config.tower, weights=self.tower_weights))

    @cached_property
    def answer_tokens(self) -> int:
        """How many ids an answer takes, its end mark included: what a prompt must leave room for."""
        plainest = render_answer(dict.fromkeys(FIELDS, UNKNOWN), dict.fromkeys(FIELDS, 0.1))
        return len(self.encoder.tokenizer(plainest, add_special_tokens=False)["input_ids"]) + 1

    @cached_property
    def decoder(self) -> ConstrainedDecoder:
        """The engine of mode ``constrained``, made when first asked for."""
        tokenizer = self.encoder.tokenizer
        return ConstrainedDecoder(
            self.model,
            build_grammar(tokenizer),
            pad_id=int(tokenizer.pad_token_id),
            prefix_ids=tokenizer(PROMPT_PREFIX, add_special_tokens=False)["input_ids"],
            dtype=getattr(torch, self.precision),
        )

    def _constrained(self, batch: Sequence[Fitted], cache: FeatureSource) -> list[Reading]:
        features = image_features([one.sample for one in batch], cache)
        decoded = self.decoder.decode([one.ids for one in batch], features)
        return [self.decide(one.sample, _scores(decoded, row)) for row, one in enumerate(batch)]

    def decide(self, sample: Sample, scores: FieldScores) -> Reading:
        """What is answered to a sample with these distributions: a new calibration needs no new decoding."""
        decide = plain_decision if self.calibration is None else for_inputs(self.calibration, sample.inputs).apply
        decided = {field: decide(field, scores.log_probs[field], scores.greedy[field]) for field in FIELDS}
        confidence = {field: decision.confidence for field, decision in decided.items()}
        text = render_answer({field: decision.value for field, decision in decided.items()}, confidence)
        prediction = judge(sample, self.name, "constrained", text)
        # The text rounds to two decimals; the record keeps what was computed.
        exact = replace(prediction, confidence=confidence) if prediction.schema_valid else prediction
        return Reading(exact, scores)

    def _raw(self, batch: Sequence[Fitted], cache: FeatureSource) -> list[Reading]:
        texts = write_answers(
            self.model,
            self.encoder.tokenizer,
            [one.ids for one in batch],
            image_features([one.sample for one in batch], cache),
            longest=2 * self.answer_tokens,  # a model that has not ended by then is judged on what it wrote
        )
        return [Reading(judge(one.sample, self.name, "raw", text)) for one, text in zip(batch, texts, strict=True)]


def plain_decision(field: str, log_probs: np.ndarray, greedy: int) -> Decision:
    """The decoded value with its probability."""
    return Decision(VALUES[field][greedy], min(float(np.exp(log_probs[greedy])), 1.0))


def judge(sample: Sample, model: str, mode: Mode, text: str) -> Prediction:
    """The strict parser's verdict on an answer's text."""
    result = parse_answer(text)
    answer = result.answer
    return Prediction(
        item_id=sample.item_id,
        model=model,
        inputs=sample.inputs,
        mode=mode,
        raw_output=text,
        json_valid=result.json_valid,
        schema_valid=result.schema_valid,
        error=result.error,
        error_class=result.error_class,
        attributes=dict(answer.attributes) if answer else {},
        confidence=dict(answer.confidence) if answer else {},
    )


def _with_cuts(reading: Reading, asked: Sample, fitted: Sample) -> Reading:
    """Record what the model's length limit cut off."""
    if fitted is asked:
        return reading
    texts = zip(("title", "description"), texts_of(asked.messages), texts_of(fitted.messages), strict=True)
    cuts = tuple(Cut(name, len(before), len(after)) for name, before, after in texts if len(after) < len(before))
    return replace(reading, cuts=cuts)


def _scores(decoded: dict[str, DecodedField], row: int) -> FieldScores:
    return FieldScores(
        {field: one.log_probs[row] for field, one in decoded.items()},
        {field: int(one.greedy[row]) for field, one in decoded.items()},
    )


def _batches(fitted: Sequence[Fitted], size: int) -> list[list[int]]:
    """Indices, those of one input variant and similar length together, at most ``size`` a batch."""
    order = sorted(range(len(fitted)), key=lambda index: (fitted[index].sample.inputs, len(fitted[index].ids)))
    batches: list[list[int]] = []
    for index in order:
        longest = len(fitted[index].ids)  # the order makes the newest the longest of its variant
        same = batches and fitted[batches[-1][0]].sample.inputs == fitted[index].sample.inputs
        if same and len(batches[-1]) < size and longest * (len(batches[-1]) + 1) <= BATCH_TOKENS:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches
