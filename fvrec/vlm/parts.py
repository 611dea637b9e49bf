"""A table of readings that grows part by part and survives being killed: Parquet parts, and a journal of them.

Beside ``attrs.parquet`` lies, while it is being made, ``attrs.parquet.parts/``: ``journal.jsonl`` (what made the rows,
then one line a finished part) and the parts. A part counts once its line is in the journal; what a killed process left
behind is made anew. Finishing joins the parts into the one file, atomically, and removes the folder.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fvrec.artifacts import digest_file, remove, staged
from fvrec.errors import FvrecError
from fvrec.schema import FIELDS

KEY = "item_id"
TABLE = pa.schema(
    [
        (KEY, pa.string()),
        ("image_path", pa.string()),
        ("title", pa.string()),
        *((name, pa.string()) for name in FIELDS),
        *((f"{name}_confidence", pa.float32()) for name in FIELDS),
        ("error", pa.string()),
        ("shortened", pa.bool_()),
    ]
)
"""A row an item. ``error``: empty, or why the item has no attributes; ``shortened``: its text was too long for the
model and was cut."""
_IDENTITY = b"fvrec"
_ANEW = "another name for the file, or --restart"


@dataclass
class Parts:
    """The parts of one table. ``identity``: what the rows are made with; rows of another identity are never joined."""

    out: Path
    identity: Mapping[str, str]
    done: set[str] = field(default_factory=set)
    _names: list[str] = field(default_factory=list)

    @classmethod
    @contextmanager
    def open(cls, out: Path, identity: Mapping[str, str], *, restart: bool = False) -> Iterator[Parts]:
        """Take up what is there, or begin. One process at a time.

        FvrecError when the rows that are there were made with something else, or another process is at work on them.
        """
        parts = cls(out, dict(identity))
        parts.folder.mkdir(parents=True, exist_ok=True)
        with (parts.folder / "lock").open("a") as lock:
            _lock(lock.fileno(), out)
            if restart:
                parts._forget()
            parts._take_up()
            yield parts

    @property
    def folder(self) -> Path:
        return self.out.with_name(f"{self.out.name}.parts")

    @property
    def _journal(self) -> Path:
        return self.folder / "journal.jsonl"

    def append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Make one more part of the rows; when this returns it will survive the process."""
        name = f"part-{len(self._names):06d}.parquet"
        path = self.folder / name
        with staged(path) as temporary:
            pq.write_table(pa.Table.from_pylist(list(rows), schema=TABLE), temporary)
        self._note({"part": name, "rows": len(rows), "sha256": digest_file(path)})
        self._names.append(name)
        self.done.update(row[KEY] for row in rows)

    def finish(self) -> int:
        """Join what is there into the one file; how many rows it has. The folder of parts is gone afterwards."""
        seen: set[str] = set()
        with staged(self.out) as temporary, pq.ParquetWriter(temporary, self._schema()) as writer:
            for path in self._files():
                for batch in pq.ParquetFile(path).iter_batches():
                    table = pa.Table.from_batches([batch])
                    # A kill between joining and clearing away leaves parts whose rows are in the file already.
                    new = [key not in seen for key in table[KEY].to_pylist()]
                    seen.update(table[KEY].to_pylist())
                    writer.write_table(table.filter(pa.array(new)).cast(self._schema()))
        remove(self.folder)
        return len(seen)

    def _schema(self) -> pa.Schema:
        return TABLE.with_metadata({_IDENTITY: json.dumps(dict(self.identity), sort_keys=True).encode()})

    def _files(self) -> list[Path]:
        joined = [self.out] if self.out.exists() else []
        return [*joined, *(self.folder / name for name in self._names)]

    def _forget(self) -> None:
        self.out.unlink(missing_ok=True)
        for path in self.folder.iterdir():
            if path.name != "lock":
                remove(path)

    def _take_up(self) -> None:
        if self.out.exists():
            self._check(_identity_of(self.out), self.out)
        lines = list(_lines(self._journal))
        if lines:
            self._check(lines[0].get("identity"), self._journal)
        else:
            self._journal.unlink(missing_ok=True)
            self._note({"identity": dict(self.identity)})
        for line in lines[1:]:
            path = self.folder / line["part"]
            if not path.is_file() or digest_file(path) != line["sha256"]:
                raise FvrecError("a finished part is gone or altered", where=path, allowed=_ANEW)
            self._names.append(line["part"])
        for stray in self.folder.glob("*part-*"):
            if stray.name not in self._names:
                remove(stray)
        for path in self._files():
            self.done.update(pq.read_table(path, columns=[KEY])[KEY].to_pylist())

    def _check(self, found: Any, where: Path) -> None:
        if found != self.identity:
            differing = sorted(
                k for k in {*self.identity, *(found or {})} if self.identity.get(k) != (found or {}).get(k)
            )
            raise FvrecError(
                f"its rows were made with something else: {', '.join(differing)}",
                where=where,
                found=found,
                allowed=_ANEW,
            )

    def _note(self, line: Mapping[str, Any]) -> None:
        with self._journal.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, sort_keys=True) + "\n")
            file.flush()
            os.fsync(file.fileno())


def _lines(journal: Path) -> Iterator[dict[str, Any]]:
    """The whole lines; a last one that a kill has cut off is removed, so that the next one stands alone."""
    if not journal.exists():
        return
    text = journal.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if whole != text:
        with journal.open("r+b") as file:
            file.truncate(len(whole))
    for line in whole.splitlines():
        yield json.loads(line)


def _identity_of(path: Path) -> Any:
    try:
        return json.loads((pq.read_schema(path).metadata or {}).get(_IDENTITY, b"null"))
    except (pa.ArrowInvalid, OSError, ValueError) as error:
        raise FvrecError("this is no table of readings", where=path, found=str(error), allowed=_ANEW) from error


def _lock(descriptor: int, out: Path) -> None:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise FvrecError("another process is making this file", where=out) from error
