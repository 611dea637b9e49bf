"""Every read: records out. Works on the live file (within a flow) and on the published snapshot alike."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fvrec.errors import FvrecError
from fvrec.records import (
    CandidateSet,
    Confusion,
    CurvePoint,
    Extraction,
    Interaction,
    Item,
    Metric,
    Placed,
    Prediction,
    Quarantined,
    Ranking,
    Run,
    User,
)
from warehouse.candidates import read_candidates, read_extractions
from warehouse.catalogue import read_placed
from warehouse.db import reading
from warehouse.decode import select
from warehouse.digest import RUN_RELATIONS, SOURCE_RELATIONS, fingerprints
from warehouse.entities import read_items, read_predictions
from warehouse.query import Table, run_arrow, run_query
from warehouse.vectors import embedding_models, read_vectors

__all__ = ["Table", "Warehouse"]


class Warehouse:
    """Reads one database file. Each call opens it for its own length and sees one consistent state.

    Lists come in a fixed order: the same rows give the same list. Every method raises FvrecError when the file is
    missing (``fvrec run`` makes it), held by a writer for too long, or of another schema version.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    @property
    def version(self) -> str:
        """Name of the file that the path leads to now: changes with every publication, so caches can be keyed by it."""
        return self.path.resolve().name

    def items(self, source: str, splits: Sequence[str] | None = None, *, vanished: bool = False) -> list[Item]:
        """Items of ``source``, of these splits or of all, by item_id. An empty list when there are none.

        Those that the newest ingest did not find, or whose limit left them out, are not given, unless ``vanished``.
        """
        with reading(self.path) as connection:
            return read_items(connection, source, splits, vanished=vanished)

    def placed(self, source: str) -> dict[str, Placed]:
        """item_id -> where earlier ingests put it, for the next one; vanished items are among them."""
        with reading(self.path) as connection:
            return read_placed(connection, source)

    def predictions(
        self, run_id: str, *, model: str | None = None, inputs: str | None = None, mode: str | None = None
    ) -> list[Prediction]:
        """The run's predictions, of one variant or of all, by model, inputs, mode and item_id."""
        with reading(self.path) as connection:
            return read_predictions(connection, run_id, model, inputs, mode)

    def candidates(
        self,
        source: str,
        *,
        splits: Sequence[str] | None = None,
        model: str,
        inputs: str,
        mode: str,
        preset: str | None = None,
        embedding_model: str | None = None,
    ) -> CandidateSet:
        """What a reranker chooses from: items of these splits with what the model read from them, and their vectors.

        Read from the newest complete run of ``source`` (and ``preset``) that holds predictions of the variant; an item
        without a valid answer is unknown throughout. Vectors get length 1; an item without one has zeros.
        ``embedding_model`` may be left out while there is only one. FvrecError when there are no such items or runs.
        """
        variant = {"model": model, "inputs": inputs, "mode": mode}
        with reading(self.path) as connection:
            return read_candidates(connection, source, splits, variant, preset=preset, embedding_model=embedding_model)

    def extractions(self, source: str | None = None) -> list[Extraction]:
        """What ``candidates`` can be asked for: variant by variant and split by split, of a source or of all."""
        with reading(self.path) as connection:
            return read_extractions(connection, source)

    def embedding_models(self, source: str | None = None) -> list[str]:
        """Names of the models that a source's vectors (or any) were made with."""
        with reading(self.path) as connection:
            return embedding_models(connection, source)

    def embedding_model(self, source: str) -> str:
        """The one model that a source's vectors were made with. FvrecError without vectors, or with two kinds."""
        models = self.embedding_models(source)
        if len(models) != 1:
            raise FvrecError(
                "one kind of picture vectors is needed: `fvrec run` makes them", where=f"source {source}", found=models
            )
        return models[0]

    def embeddings(
        self, item_ids: Sequence[str], model: str | None = None, *, source: str | None = None
    ) -> NDArray[np.float32]:
        """``[N, D]`` float32, one row for each of ``item_ids`` in that order.

        ``model`` may be left out while there is only one. FvrecError when an item has no vector, or has one in several
        sources and ``source`` is not given.
        """
        with reading(self.path) as connection:
            return read_vectors(connection, item_ids, model, source)

    def metrics(
        self, *, run_id: str | None = None, stage: str | None = None, source: str | None = None
    ) -> list[Metric]:
        """Metrics of one run, or (no ``run_id``) of the newest complete run of each stage, source and preset."""
        with reading(self.path) as connection:
            runs: str | list[str] | None = run_id
            if run_id is None:
                runs = [row[0] for row in connection.execute("SELECT run_id FROM latest_runs").fetchall()]
            order = ["stage", "source", "preset", "split", "model", "strategy", "inputs", "mode", "seed", "slice"]
            order += ["field", "metric", "k", "params"]
            rows = select(connection, Metric, "metrics", order=order, run_id=runs, stage=stage, source=source)
        return [Metric(**row) for row in rows]

    def confusions(self, run_id: str) -> list[Confusion]:
        """Confusion counts of a run, matrix by matrix."""
        order = ["model", "inputs", "mode", "split", "field", "true_value", "predicted_value"]
        with reading(self.path) as connection:
            return [Confusion(**row) for row in select(connection, Confusion, "confusions", order=order, run_id=run_id)]

    def curves(self, run_id: str, curve: str | None = None) -> list[CurvePoint]:
        """Points of a run's curves, of one or of all, by curve, params and x."""
        order = ["stage", "curve", "params", "x", "y"]
        with reading(self.path) as connection:
            rows = select(connection, CurvePoint, "curves", order=order, run_id=run_id, curve=curve)
        return [CurvePoint(**row) for row in rows]

    def rankings(self, run_id: str, strategy: str | None = None) -> list[Ranking]:
        """Ranked lists of a run, of one strategy or of all, by query and strategy, best item first."""
        order = ["query_id", "strategy", "position"]
        with reading(self.path) as connection:
            rows = select(connection, Ranking, "rankings", order=order, run_id=run_id, strategy=strategy)
        return [Ranking(**row) for row in rows]

    def users(self, source: str, split: str | None = None) -> list[User]:
        """Users of a source, of one split or of all."""
        with reading(self.path) as connection:
            rows = select(connection, User, "users", order=["user_id"], source=source, split=split)
        return [User(**row) for row in rows]

    def interactions(self, source: str) -> list[Interaction]:
        """What the source's users did, user by user, oldest first."""
        order = ["user_id", "at", "item_id", "kind"]
        with reading(self.path) as connection:
            rows = select(connection, Interaction, "interactions", order=order, source=source)
        return [Interaction(**row) for row in rows]

    def quarantine(self, source: str) -> list[Quarantined]:
        """What was rejected at the last ingest of a source, and why."""
        order = ["path", "reason", "detail"]
        with reading(self.path) as connection:
            rows = select(connection, Quarantined, "quarantine", order=order, source=source)
        return [Quarantined(**row) for row in rows]

    def run(self, run_id: str) -> Run | None:
        """That run, whatever its status; None when there is none."""
        with reading(self.path) as connection:
            rows = select(connection, Run, "runs", order=["run_id"], run_id=run_id)
        return Run(**rows[0]) if rows else None

    def runs(self) -> list[Run]:
        """All runs, oldest first."""
        with reading(self.path) as connection:
            return [Run(**row) for row in select(connection, Run, "runs", order=["started_at", "run_id"])]

    def latest_run(self, stage: str, source: str, preset: str | None = None) -> Run | None:
        """The newest complete run of a stage on a source (and preset); None when there is none."""
        order = ["finished_at", "started_at", "run_id"]
        with reading(self.path) as connection:
            rows = select(
                connection, Run, "runs", order=order, stage=stage, source=source, preset=preset, status="complete"
            )
        return Run(**rows[-1]) if rows else None

    def fingerprint(self, run_id: str, relations: Container[str] = RUN_RELATIONS) -> dict[str, str]:
        """relation -> count and order-free hash of the run's rows: a deleted, added or altered row changes it.

        ``relations`` may name fewer; names that are none of a run's are passed over.
        """
        asked = {name: left_out for name, left_out in RUN_RELATIONS.items() if name in relations}
        with reading(self.path) as connection:
            return fingerprints(connection, asked, "run_id", run_id)

    def fingerprint_source(self, source: str, relations: Container[str] = SOURCE_RELATIONS) -> dict[str, str]:
        """The same for a source's items, attributes, quarantine, users and vectors; times of ingest do not count."""
        asked = {name: left_out for name, left_out in SOURCE_RELATIONS.items() if name in relations}
        with reading(self.path) as connection:
            return fingerprints(connection, asked, "source", source)

    def query(
        self,
        sql: str,
        parameters: Sequence[object] | Mapping[str, object] = (),
        *,
        max_rows: int | None = None,
        timeout_s: float | None = None,
    ) -> Table:
        """One query of the user's own. It can neither write nor reach other files or settings.

        At most ``max_rows`` rows come back (``Table.truncated`` says that there were more). FvrecError on a mistake in
        the SQL, on anything but a query, and after ``timeout_s`` seconds.
        """
        with reading(self.path) as connection:
            return run_query(connection, sql, parameters, max_rows=max_rows, timeout_s=timeout_s)

    def query_arrow(
        self, sql: str, *, max_rows: int, timeout_s: float, max_bytes: int | None = None
    ) -> tuple[pa.Table, bool]:
        """As :meth:`query`, as an Arrow table with DuckDB's types, and whether there were more rows."""
        with reading(self.path) as connection:
            return run_arrow(connection, sql, max_rows=max_rows, timeout_s=timeout_s, max_bytes=max_bytes)
