"""The one module through which pages reach data and models. No Streamlit here; heavy imports wait until needed.

A service belongs to one published snapshot: what it has read stays valid while it lives. Open another for a newer one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.listing import Card, Listing, Query, qualities
from app.pictures import card_picture, decode_upload, square_jpeg
from app.rankers import ranker_for
from fvrec.config import STRATEGIES, Settings
from fvrec.errors import FvrecError
from fvrec.records import MODELS, CandidateSet, Extraction, Item, Prediction
from warehouse.read import Warehouse
from warehouse.store import FilteredStore

if TYPE_CHECKING:
    from app.reading import PictureReader
    from fvrec.rerank.constraints import Constraint
    from fvrec.rerank.pool import Ranker
    from fvrec.rerank.score import ScoreWeights
    from fvrec.vlm.towers import Tower

UNSEEN = ("val", "test")
"""Splits that no extractor was trained on: what is read there shows what a model can do."""
_PREFERRED_INPUTS = ("image_title", "image", "title")


@dataclass(frozen=True)
class ReadUpload:
    """A visitor's picture, read twice: as the model writes, and with its choice held to the schema."""

    raw: Prediction
    constrained: Prediction


@dataclass(frozen=True)
class _Shelf:
    """One model's view of a source: candidates for ``ask``, and each item's prediction."""

    store: FilteredStore
    predictions: Mapping[str, Prediction]
    preset: str


class DemoService:
    """Answers queries over one snapshot. Safe to share between threads. Every method may raise FvrecError."""

    def __init__(self, settings: Settings, warehouse: Warehouse) -> None:
        self._settings = settings
        self._warehouse = warehouse
        self._extractions = [row for row in warehouse.extractions() if row.split in UNSEEN]
        self._shelves: dict[tuple[str, str], _Shelf] = {}
        self._rankers: dict[tuple[str, float, str], Ranker] = {}
        self._towers: dict[str, Tower] = {}
        self._readers: dict[tuple[str, str], PictureReader] = {}
        self._chosen: ScoreWeights | None = None
        self._lock = RLock()

    @classmethod
    def open(cls, settings: Settings) -> DemoService:
        """A service over the snapshot that is published now. FvrecError when there is none."""
        return cls(settings, Warehouse(settings.snapshot.resolve()))

    @property
    def version(self) -> str:
        """Name of the snapshot file."""
        return self._warehouse.version

    def sources(self) -> tuple[str, ...]:
        """Sources with items that were read by some model and not trained on. FvrecError when there are none."""
        found = tuple(dict.fromkeys(row.source for row in self._extractions))
        if not found:
            raise FvrecError("no product has been read by a model yet: `fvrec run` does it", where="the snapshot")
        return found

    def models(self, source: str) -> tuple[str, ...]:
        """Models that have read products of this source."""
        read = {row.model for row in self._extractions if row.source == source}
        return tuple(model for model in MODELS if model in read)

    def ask(self, query: Query) -> Listing:
        """The list for a query. FvrecError on an unknown source, model or strategy, what is missing, a bad picture."""
        from fvrec.rerank.ask import ask

        shelf = self._shelf(query.source, query.model)
        answer = ask(
            shelf.store,
            query.text,
            ranker=self.ranker(query),
            k=query.k,
            standing=query.standing,
            reference=None if query.picture is None else self.embed_picture(query.source, query.picture),
            pictured=self.pictured(query),
            language=query.language,
            weights=self._weights(),
        )
        cards = tuple(Card(ranked, shelf.predictions[ranked.item.item_id]) for ranked in answer.ranked)
        quality, base = qualities(answer)
        readable = sum(prediction.schema_valid for prediction in shelf.predictions.values())
        return Listing(answer, cards, quality, base, len(shelf.predictions), readable, shelf.preset)

    def compare(self, query: Query) -> dict[str, Listing | FvrecError]:
        """The same query by every strategy; a strategy that is not there is its error."""
        found: dict[str, Listing | FvrecError] = {}
        for strategy in STRATEGIES:
            try:
                found[strategy] = self.ask(replace(query, strategy=strategy))
            except FvrecError as error:
                found[strategy] = error
        return found

    def ranker(self, query: Query) -> Ranker:
        """What orders the query's list. FvrecError when it is not there."""
        key = (query.strategy, query.diversity, query.source)
        with self._lock:
            if key not in self._rankers:
                self._rankers[key] = ranker_for(
                    query.strategy, query.diversity, policy_dir(self._settings), query.source
                )
            return self._rankers[key]

    def card(self, query: Query, item_id: str) -> Card:
        """One item as a card of the query's answer. FvrecError when it is not among the candidates."""
        from fvrec.rerank.ask import FixedStore, ask

        shelf = self._shelf(query.source, query.model)
        everything = shelf.store.everything
        if item_id not in shelf.predictions:
            raise FvrecError("there is no such product here", found=item_id)
        row = everything.item_ids.index(item_id)
        alone = FixedStore(_rows(everything, [row]))
        answer = ask(
            alone,
            query.text,
            ranker=ranker_for("base_rank", 0, policy_dir(self._settings)),
            k=1,
            standing=query.standing,
            pictured=self.pictured(query),
            language=query.language,
            weights=self._weights(),
        )
        return Card(answer.ranked[0], shelf.predictions[item_id])

    def photo(self, item: Item) -> bytes:
        """The item's photo as it lies there. FvrecError when it is gone."""
        try:
            return (self._settings.root / item.image_path).read_bytes()
        except OSError as error:
            raise FvrecError("the photo cannot be read", where=item.image_path, found=error.strerror) from error

    def evidence(self, query: Query, item: Item, field: str) -> bytes | None:
        """The photo with the places from which the model read the field, as JPEG; None without the model's files."""
        return self._reader(query.source, query.model).evidence(self.photo(item), field, item.title, item.description)

    def read_upload(self, source: str, model: str, data: bytes, title: str = "") -> ReadUpload | None:
        """What a model writes on a picture, freely and within the schema; None without the model's files."""
        reader = self._reader(source, model)
        raw, chosen = reader.read(data, "raw", title), reader.read(data, "constrained", title)
        return None if raw is None or chosen is None else ReadUpload(raw, chosen)

    def picture(self, item: Item) -> bytes | None:
        """The item's photo as a small square JPEG; None when the file is gone or damaged."""
        return card_picture(self._settings.root / item.image_path)

    def thumbnail(self, data: bytes) -> bytes:
        """An uploaded picture as a small square JPEG. FvrecError when it is too large, a bomb, or not a picture."""
        return square_jpeg(decode_upload(data))

    def embed_picture(self, source: str, data: bytes) -> NDArray[np.float32]:
        """``[D]``: an uploaded picture in the space of the source's item vectors. FvrecError on a bad picture."""
        photo = decode_upload(data)
        from fvrec.vlm.features import pooled
        from fvrec.vlm.pixels import to_pixels

        tower = self._tower_of(source)
        embedding: NDArray[np.float32] = pooled(tower.encode(np.stack([to_pixels(photo, tower.image_size)])), tower)[0]
        return embedding

    def pictured(self, query: Query) -> tuple[Constraint, ...]:
        """What the query's model reads from its picture, as soft wishes, less the fields that the visitor struck.

        Empty without a picture, and where the models were not published beside the snapshot: the picture then counts
        by its looks alone. FvrecError on a bad picture.
        """
        if query.picture is None:
            return ()
        from fvrec.rerank.picture import pictured_wishes

        read = self._reader(query.source, query.model).read(query.picture)
        if read is None or not read.schema_valid:
            return ()
        wishes = pictured_wishes(read.attributes, read.confidence)
        return tuple(one for one in wishes if one.field not in query.struck)

    def _reader(self, source: str, model: str) -> PictureReader:
        from app.reading import PictureReader

        with self._lock:
            if (source, model) not in self._readers:
                self._readers[source, model] = PictureReader(self._settings, model)
            return self._readers[source, model]

    def _weights(self) -> ScoreWeights:
        from fvrec.rerank.weights import served_weights

        with self._lock:
            if self._chosen is None:
                self._chosen = served_weights(self._settings)
            return self._chosen

    def _tower_of(self, source: str) -> Tower:
        """The tower that the source's item vectors were made with. FvrecError without vectors, or with two kinds."""
        return self._tower(self._warehouse.embedding_model(source))

    def _tower(self, name: str) -> Tower:
        from fvrec.vlm.towers import load_tower

        with self._lock:
            if name not in self._towers:
                self._towers[name] = load_tower(name, weights=self._settings.tower_weights(name))
            return self._towers[name]

    def _shelf(self, source: str, model: str) -> _Shelf:
        with self._lock:
            if (source, model) not in self._shelves:
                rows = self._variant(source, model)
                first = rows[0]
                variant = {"model": first.model, "inputs": first.inputs, "mode": first.mode}
                answers = self._warehouse.predictions(first.run_id, **variant)
                predictions = {answer.item_id: answer for answer in answers}
                everything = self._warehouse.candidates(source, splits=[row.split for row in rows], **variant)
                offered = _only(everything, predictions)
                kept = {item_id: predictions[item_id] for item_id in offered.item_ids}
                self._shelves[source, model] = _Shelf(FilteredStore(offered), kept, first.preset)
            return self._shelves[source, model]

    def _variant(self, source: str, model: str) -> list[Extraction]:
        """The rows (one a split) of the variant to show: of picture and title where there is one."""
        if source not in self.sources():
            raise FvrecError(
                "there are no products of this source", where="source", found=source, allowed=self.sources()
            )
        rows = [row for row in self._extractions if (row.source, row.model) == (source, model)]
        if not rows:
            raise FvrecError(
                "this model has not read any product yet: `fvrec run` does it",
                where=f"source {source}",
                found=model,
                allowed=self.models(source),
            )
        best = min(rows, key=lambda row: (_PREFERRED_INPUTS.index(row.inputs), row.mode != "constrained"))
        return [row for row in rows if (row.inputs, row.mode) == (best.inputs, best.mode)]


def policy_dir(settings: Settings) -> Path:
    """Where the trained list policy lies."""
    return settings.policies / "rl"


def _only(candidates: CandidateSet, predictions: Mapping[str, Prediction]) -> CandidateSet:
    """The candidates that the model was asked about."""
    return _rows(candidates, [row for row, item_id in enumerate(candidates.item_ids) if item_id in predictions])


def _rows(candidates: CandidateSet, rows: Sequence[int]) -> CandidateSet:
    return CandidateSet(
        item_ids=tuple(candidates.item_ids[row] for row in rows),
        items=[candidates.items[row] for row in rows],
        attributes=[candidates.attributes[row] for row in rows],
        confidence=[candidates.confidence[row] for row in rows],
        embeddings=candidates.embeddings[list(rows)],
    )
