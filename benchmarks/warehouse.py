"""The warehouse at a large shop's size: the leaderboard, a constraint filter, a publication.

``python -m benchmarks.warehouse --json PATH`` makes, in SQL alone, a warehouse of 1,000,000 items with 10,000,000
attribute rows, as many rows of what one model read of them, and the metrics of many runs; publishes it; and asks the
snapshot. Keys: ``leaderboard_s`` (the whole view, the slowest of five readings), ``filter_top100_s`` (the 100 items
that meet most of a request, the slowest of the requests), ``publish_s`` (one publication), ``publish_disk_ratio`` (the
most disk that folder held meanwhile, the live file
included, over the live file's size). Exit code 1 when a bound is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from fvrec.artifacts import atomic_write
from fvrec.rerank.constraints import Constraint, parse
from fvrec.schema import FIELDS, VALUES
from warehouse.db import migrate, publish, writing
from warehouse.read import Warehouse

BOUNDS = {"leaderboard_s": 1.0, "filter_top100_s": 0.2, "publish_s": 30.0, "publish_disk_ratio": 2.0}
RUNS = 50
REQUESTS = (
    "blue cotton dress",
    "black shirt with long sleeves, not striped",
    "红色连衣裙，不要碎花",
    "casual slim jeans for men",
    "not leather, not formal",
    "green",
)


def fill(live: Path, items: int) -> None:
    """Items with ten attributes each, what one model read of them, and the metrics of ``RUNS`` runs.

    Rows lie as ``warehouse.write`` lays them: attributes by field, value and item.
    """
    migrate(live)
    with writing(live) as connection:
        _make_items(connection, items)
        _make_readings(connection)
        _make_metrics(connection)


def _make_items(connection: duckdb.DuckDBPyConnection, items: int) -> None:
    connection.execute(
        """INSERT INTO items BY NAME
        SELECT 'generated' AS source, format('g{:07d}', i) AS item_id, format('group {}', i // 2) AS group_id,
            ['train', 'train', 'train', 'val', 'test'][1 + i % 5] AS split, format('images/{}.jpg', i) AS image_path,
            sha256(i::VARCHAR) AS image_sha256, format('Product number {} of maker {}', i, hash(i) % 977) AS title,
            '' AS description, json_object('price', i % 500) AS raw, now() AS ingested_at, '' AS group_key,
            '' AS image_phash, '' AS row_digest
        FROM range(?) AS _(i)""",
        [items],
    )
    for number, field in enumerate(sorted(FIELDS)):
        connection.execute(
            """INSERT INTO item_attributes
            SELECT source, item_id, ?, list_extract(?, 1 + (hash(item_id, ?) % len(?))::INTEGER) AS given, 'source'
            FROM items ORDER BY given, item_id""",
            [field, list(VALUES[field]), number, list(VALUES[field])],
        )


def _make_readings(connection: duckdb.DuckDBPyConnection) -> None:
    variant = "'extract', item_id, 'lora', 'image_title', 'constrained'"
    connection.execute(f"INSERT INTO predictions SELECT {variant}, repeat('x', 250), true, true, '', '' FROM items")
    connection.execute(
        f"""INSERT INTO predicted_attributes
        SELECT {variant}, field, "value", 0.3 + 0.7 * (hash(item_id, field) % 1000) / 1000
        FROM item_attributes ORDER BY field, "value", item_id"""
    )


def _make_metrics(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(
        """INSERT INTO runs
        SELECT CASE i WHEN 0 THEN 'extract' ELSE format('run{}', i) END, 'extraction', 'extract', 'tiny', 'generated',
            '', '{}', now(), now() - to_hours(i), 'complete'
        FROM range(?) AS _(i)""",
        [RUNS],
    )
    connection.execute(
        """INSERT INTO metrics
        SELECT run_id, 'extraction', 'generated', 'test', 'tiny', model, '', inputs, mode, 7, '', field, metric, 0,
            '{}', random(), 0.1, 0.9, 1000
        FROM runs, unnest(['base', 'sft', 'lora']) AS a(model), unnest(['image', 'title', 'image_title']) AS b(inputs),
            unnest(['raw', 'constrained']) AS c(mode), unnest(?) AS d(field),
            unnest(['json_valid_rate', 'schema_pass_rate', 'micro_f1', 'macro_f1', 'accuracy', 'ece']) AS e(metric)""",
        [["", *FIELDS]],
    )


def filter_sql(text: str) -> tuple[str, list[object]]:
    """The SQL, and its parameters, of the 100 best items for a request in words: nothing excluded, most wishes met,
    the surest first. A request that only excludes takes the first 100 that have none of it.

    Exclusions are looked up by the excluded value: those rows are few, the rows of every other value are most of all.
    """
    wishes = parse(text).constraints
    wanted, excluded = ([one for one in wishes if one.excluded is not_wanted] for not_wanted in (False, True))
    unwanted, without = _rows_of(excluded), f" ANTI JOIN ({_hits(excluded)}) USING (item_id)" if excluded else ""
    if not wanted:
        return f"SELECT item_id FROM present_items{without} LIMIT 100", unwanted
    return (
        f"""SELECT item_id, count(*) AS met, avg(confidence) AS sure FROM ({_hits(wanted)}){without}
        GROUP BY item_id ORDER BY met DESC, sure DESC, item_id LIMIT 100""",
        [*_rows_of(wanted), *unwanted],
    )


def _hits(wishes: Sequence[Constraint]) -> str:
    """Rows that say what was asked for: one part a wish, so that each reads the blocks of its own values alone."""
    return " UNION ALL ".join(
        f"""SELECT item_id, confidence FROM predicted_attributes
        WHERE run_id = 'extract' AND field = ? AND "value" IN ({", ".join("?" * len(one.values))})"""
        for one in wishes
    )


def _rows_of(wishes: Sequence[Constraint]) -> list[object]:
    return [value for one in wishes for value in (one.field, *sorted(one.values))]


@contextmanager
def largest_folder(folder: Path) -> Iterator[list[int]]:
    """Bytes of the folder at its largest while the block runs, looked at every 20 ms."""
    largest, over = [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            largest[0] = max(largest[0], size_of(folder))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield largest
    finally:
        over.set()
        watcher.join()
        largest[0] = max(largest[0], size_of(folder))


def size_of(folder: Path) -> int:
    """Bytes on disk of its files."""
    sizes = []
    for file in folder.iterdir():
        try:
            sizes.append(0 if file.is_symlink() else file.stat().st_blocks * 512)
        except FileNotFoundError:  # gone between the listing and the look
            continue
    return sum(sizes)


def measure(items: int, folder: Path) -> dict[str, float]:
    """Every number, by key."""
    live, snapshot = folder / "live.duckdb", folder / "current.duckdb"
    begin = time.perf_counter()
    fill(live, items)
    generate_s, live_bytes = time.perf_counter() - begin, size_of(folder)
    begin = time.perf_counter()
    with largest_folder(folder) as largest:
        publish(live, snapshot)
    publish_s = time.perf_counter() - begin
    warehouse = Warehouse(snapshot)
    boards = [_timed(warehouse, "FROM model_leaderboard", []) for _ in range(5)]
    filters = [_timed(warehouse, *filter_sql(text)) for _ in range(3) for text in REQUESTS]
    return {
        "leaderboard_s": max(boards),
        "filter_top100_s": max(filters),
        "publish_s": publish_s,
        # The published copy is all that a publication adds: twice the file is the file and its copy.
        "publish_disk_ratio": largest[0] / live_bytes,
        "live_mb": live_bytes / 2**20,
        "snapshot_mb": snapshot.resolve().stat().st_size / 2**20,
        "generate_s": generate_s,
    }


def _timed(warehouse: Warehouse, sql: str, parameters: Sequence[object]) -> float:
    begin = time.perf_counter()
    rows = warehouse.query(sql, parameters).rows
    taken = time.perf_counter() - begin
    if not rows:
        raise RuntimeError(f"nothing found: {sql}")
    return taken


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True, help="where the numbers go")
    parser.add_argument("--items", type=int, default=1_000_000, help="ten attribute rows each")
    parser.add_argument(
        "--folder", type=Path, help="where the warehouse is made for the while [the system's temporary folder]"
    )
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        found = measure(options.items, Path(folder))
    for name, value in found.items():
        print(f"{name:20} {value:10.3f}  {f'bound {BOUNDS[name]:g}' if name in BOUNDS else ''}")
    atomic_write(options.json, json.dumps({"items": options.items, **found}, indent=2) + "\n")
    return 0 if all(found[name] <= bound for name, bound in BOUNDS.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
