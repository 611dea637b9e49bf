"""What the pages ask beside the views: one query a question, each a small table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fvrec.errors import FvrecError
from fvrec.schema import FIELDS
from warehouse.query import Table
from warehouse.read import Warehouse

_VARIANT = "model = ? AND inputs = ? AND mode = ?"


def sources(warehouse: Warehouse) -> tuple[str, ...]:
    """Sources with items, by name."""
    return tuple(row[0] for row in warehouse.query("SELECT DISTINCT source FROM present_items ORDER BY 1").rows)


def views(warehouse: Warehouse) -> Table:
    """Every view of the warehouse with what it answers."""
    return warehouse.query("SELECT view_name, comment FROM duckdb_views() WHERE NOT internal ORDER BY 1")


def leaderboard(warehouse: Warehouse, source: str) -> Table:
    """The model leaderboard of a source, as its view has it."""
    return warehouse.query("SELECT * EXCLUDE (source, run_id) FROM model_leaderboard WHERE source = ?", [source])


def confusion_variants(warehouse: Warehouse, source: str) -> Table:
    """model, inputs, mode, field of every confusion matrix of a source."""
    sql = "SELECT DISTINCT model, inputs, mode, field FROM field_confusion WHERE source = ? ORDER BY ALL"
    return warehouse.query(sql, [source])


def confusion(warehouse: Warehouse, source: str, variant: Sequence[str], field: str) -> Table:
    """The cells of one matrix, as counts and shares of the row."""
    sql = f"""SELECT true_value, predicted_value, n, share FROM field_confusion
        WHERE source = ? AND {_VARIANT} AND field = ? ORDER BY ALL"""  # noqa: S608 - a constant
    return warehouse.query(sql, [source, *variant, field])


def reliability(warehouse: Warehouse, source: str, variant: Sequence[str]) -> Table:
    """Points of the reliability diagram over all fields: confidence kind, mean confidence, share right, answers."""
    sql = """SELECT params ->> 'confidence' AS kind, x AS confidence, y AS accuracy,
            CAST(params ->> 'n' AS INTEGER) AS n
        FROM curves JOIN latest_runs USING (run_id)
        WHERE source = ? AND curve = 'reliability' AND params ->> 'field' = '' AND params ->> 'split' = 'test'
            AND params ->> 'model' = ? AND params ->> 'inputs' = ? AND params ->> 'mode' = ?
        ORDER BY ALL"""
    return warehouse.query(sql, [source, *variant])


_WRONG = """
WITH asked AS (
    SELECT p.*, r.source FROM predictions AS p JOIN latest_runs AS r USING (run_id)
    WHERE r.source = $source AND model = $model AND inputs = $inputs AND mode = $mode
),
wrong AS (
    SELECT a.item_id, string_agg(a.field || ': ' || a."value" || ' ≠ ' || t."value", ', ' ORDER BY a.field) AS what,
        count(*) AS fields
    FROM predicted_attributes AS a
    JOIN asked USING (run_id, item_id, model, inputs, mode)
    JOIN item_attributes AS t ON t.source = asked.source AND t.item_id = a.item_id AND t.field = a.field
    WHERE t.origin = 'source' AND t."value" <> 'unknown' AND a."value" <> t."value"
    GROUP BY a.item_id
),
failures AS (
    SELECT asked.item_id, coalesce(nullif(error_class, ''), 'attribute_confused') AS class,
        CASE WHEN schema_valid THEN wrong.what ELSE error END AS detail, raw_output,
        coalesce(wrong.fields, 99) AS weight
    FROM asked LEFT JOIN wrong USING (item_id)
    WHERE NOT schema_valid OR wrong.item_id IS NOT NULL
)
"""


def failure_classes(warehouse: Warehouse, source: str, variant: Sequence[str]) -> Table:
    """class, items: how many answers of a variant failed in which way, on items of val and test."""
    return warehouse.query(
        _WRONG + "SELECT class, count(*) AS items FROM failures GROUP BY class ORDER BY items DESC",  # noqa: S608
        _named(source, variant),
    )


def failures(warehouse: Warehouse, source: str, variant: Sequence[str], kind: str, limit: int) -> Table:
    """item_id, title, image_path, detail, raw_output of the worst failures of one class."""
    sql = """SELECT f.item_id, title, image_path, detail, raw_output
        FROM failures AS f JOIN present_items AS i ON i.source = $source AND i.item_id = f.item_id
        WHERE class = $class ORDER BY weight DESC, f.item_id LIMIT $limit"""
    return warehouse.query(_WRONG + sql, {**_named(source, variant), "class": kind, "limit": limit})


def extraction_variants(warehouse: Warehouse, source: str) -> Table:
    """model, inputs, mode that have answers in the latest runs of a source."""
    sql = """SELECT DISTINCT model, inputs, mode FROM predictions JOIN latest_runs USING (run_id)
        WHERE source = ? ORDER BY ALL"""
    return warehouse.query(sql, [source])


def trade_off(warehouse: Warehouse, source: str) -> Table:
    """Every point of relevance against diversity of a source."""
    return warehouse.query("SELECT * EXCLUDE (source) FROM rl_trade_off WHERE source = ?", [source])


def recorded_lists(warehouse: Warehouse, run_id: str, strategy: str) -> tuple[str, ...]:
    """Requests for which a run kept the list of a strategy."""
    sql = "SELECT DISTINCT query_id FROM rankings WHERE run_id = ? AND strategy = ? ORDER BY 1"
    return tuple(row[0] for row in warehouse.query(sql, [run_id, strategy]).rows)


def recorded_list(warehouse: Warehouse, run_id: str, strategy: str, query_id: str) -> Table:
    """position, item_id, title, image_path, score, explanation of one recorded list."""
    sql = """SELECT "position", r.item_id, title, image_path, score, explanation
        FROM rankings AS r JOIN runs USING (run_id)
        LEFT JOIN items AS i ON i.source = runs.source AND i.item_id = r.item_id
        WHERE run_id = ? AND strategy = ? AND query_id = ? ORDER BY "position" """
    return warehouse.query(sql, [run_id, strategy, query_id])


def distribution(warehouse: Warehouse, source: str, field: str) -> Table:
    """value, items of one attribute over the present catalogue."""
    sql = """SELECT "value", count(*) AS items FROM item_attributes SEMI JOIN present_items USING (source, item_id)
        WHERE source = ? AND field = ? GROUP BY "value" ORDER BY items DESC, "value" """
    return warehouse.query(sql, [source, field])


def browse(
    warehouse: Warehouse, source: str, wanted: Mapping[str, Sequence[str]], words: str, *, limit: int, offset: int
) -> Table:
    """total, item_id, title, image_path, split, attributes (field -> value) of items.

    Of those with one of the wanted values in every field. FvrecError on a field that the schema lacks.
    """
    parts, parameters = ["source = ?"], list[object]([source])
    for field, values in wanted.items():
        if field not in FIELDS:
            raise FvrecError("no such field", found=field, allowed=FIELDS)
        if values:
            marks = ", ".join("?" * len(values))
            parts.append(f"""item_id IN (SELECT item_id FROM item_attributes
                WHERE source = ? AND field = ? AND "value" IN ({marks}))""")  # noqa: S608 - question marks alone
            parameters += [source, field, *values]
    if words:
        parts.append("contains(lower(title), lower(?))")
        parameters.append(words)
    sql = f"""WITH found AS (SELECT *, count(*) OVER () AS total FROM present_items WHERE {" AND ".join(parts)}
            ORDER BY item_id LIMIT ? OFFSET ?)
        SELECT any_value(total) AS total, item_id, any_value(title) AS title, any_value(image_path) AS image_path,
            any_value(split) AS split,
            map_from_entries(list((field, "value") ORDER BY field) FILTER ("value" <> 'unknown')) AS attributes
        FROM found LEFT JOIN item_attributes USING (source, item_id) GROUP BY item_id ORDER BY item_id"""  # noqa: S608
    return warehouse.query(sql, [*parameters, limit, offset])


def rejected(warehouse: Warehouse, source: str) -> Table:
    """path, reason, detail, seen_at of what the last ingest of a source rejected."""
    sql = "SELECT path, reason, detail, seen_at FROM quarantine WHERE source = ? ORDER BY reason, path LIMIT 1000"
    return warehouse.query(sql, [source])


def runs(warehouse: Warehouse) -> Table:
    """What ran, newest first: stage, source, preset, status, times, seed, code and run_id."""
    return warehouse.query(
        """SELECT stage, source, preset, status, started_at, date_diff('second', started_at, finished_at) AS seconds,
            config ->> 'seed' AS seed, left(code_version, 12) AS code, run_id, config
        FROM runs ORDER BY started_at DESC LIMIT 500"""
    )


def _named(source: str, variant: Sequence[str]) -> dict[str, object]:
    return dict(zip(("source", "model", "inputs", "mode"), (source, *variant), strict=True))
