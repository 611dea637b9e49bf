"""A store of candidates over one snapshot: read once, then filtered by SQL for every request.

The long relation ``predicted_attributes`` holds ten rows an item, and filtering it for each request means a self-join
and a list of item ids to look up again. So what was read is laid out once, one row an item, in a DuckDB database in
memory; the filter is then one scan of a few small columns, and gives row numbers.
"""

from __future__ import annotations

import atexit
from collections.abc import Sequence
from threading import Lock
from typing import Any, Protocol
from weakref import WeakSet

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fvrec.records import CandidateSet
from fvrec.schema import FIELDS, UNKNOWN
from warehouse.read import Warehouse


class Wish(Protocol):
    """One constraint (``fvrec.rerank.constraints.Constraint`` and its like)."""

    @property
    def field(self) -> str: ...
    @property
    def values(self) -> frozenset[str]: ...
    @property
    def excluded(self) -> bool: ...
    @property
    def strength(self) -> str: ...


class Wishes(Protocol):
    """A request."""

    @property
    def constraints(self) -> Sequence[Wish]: ...


class FilteredStore:
    """Fixed candidates, filtered by SQL (``fvrec.rerank.ask.FilteringStore``). Safe to share between threads."""

    def __init__(self, everything: CandidateSet) -> None:
        self.everything = everything
        self._wide = _wide_table(everything)
        _living.add(self)

    def candidates(self, constraints: Wishes) -> CandidateSet:
        """All of them, the same object for every request."""
        return self.everything

    def allowed(self, constraints: Wishes) -> NDArray[np.int64]:
        """Rows of :meth:`candidates` that break no hard constraint, ascending. An unknown value breaks nothing."""
        condition, parameters = _condition(constraints)
        with self._wide.cursor() as cursor:
            found = cursor.execute(f"SELECT place FROM wide WHERE {condition} ORDER BY place", parameters)  # noqa: S608
            return np.asarray(found.fetchnumpy()["place"], dtype=np.int64)


class SnapshotStore:
    """Candidates of one variant of a source, kept until another snapshot is published. Safe to share between threads.

    variant: what ``Warehouse.candidates`` takes. Every method raises FvrecError as that does.
    """

    def __init__(self, warehouse: Warehouse, source: str, **variant: Any) -> None:
        self._warehouse = warehouse
        self._source = source
        self._variant = variant
        self._lock = Lock()
        self._version = ""
        self._store: FilteredStore | None = None

    def candidates(self, constraints: Wishes) -> CandidateSet:
        """As :class:`FilteredStore`, of the snapshot that is published now."""
        return self._current().everything

    def allowed(self, constraints: Wishes) -> NDArray[np.int64]:
        """As :class:`FilteredStore`, of the snapshot that :meth:`candidates` last read."""
        store = self._store or self._current()
        return store.allowed(constraints)

    def _current(self) -> FilteredStore:
        with self._lock:
            version = self._warehouse.version
            if self._store is None or version != self._version:
                self._store = FilteredStore(self._warehouse.candidates(self._source, **self._variant))
                self._version = version
            return self._store


def _wide_table(candidates: CandidateSet) -> duckdb.DuckDBPyConnection:
    """A database in memory with ``wide(place, <the ten fields>)``: row i of the candidates at place i."""
    connection = duckdb.connect(":memory:", config={"threads": 2})
    columns = {field: [row[field] for row in candidates.attributes] for field in FIELDS}
    connection.register("given", pa.table({"place": np.arange(len(candidates), dtype=np.int64), **columns}))
    connection.execute("CREATE TABLE wide AS SELECT * FROM given")
    connection.unregister("given")
    return connection


_living: WeakSet[FilteredStore] = WeakSet()


@atexit.register
def _close() -> None:
    """DuckDB complains on stderr of connections that outlive the interpreter, as those in a page's cache do."""
    for store in list(_living):
        store._wide.close()
        del store._wide


def _condition(constraints: Wishes) -> tuple[str, list[object]]:
    """SQL and parameters: every hard constraint unbroken. Field names are the schema's, values are parameters."""
    parts, parameters = ["true"], list[object]()
    for one in constraints.constraints:
        if one.strength == "hard" and one.field in FIELDS:
            values = sorted(one.values) if one.excluded else [*sorted(one.values), UNKNOWN]
            parts.append(f'"{one.field}" {"NOT IN" if one.excluded else "IN"} ({", ".join("?" * len(values))})')
            parameters += values
    return " AND ".join(parts), parameters
