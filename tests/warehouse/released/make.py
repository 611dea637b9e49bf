"""A warehouse as the code of a released schema version makes it, a fixture of ``test_released.py``.

Run by the code of that version, not by this one:

    git archive COMMIT fvrec warehouse | tar -x -C OLD
    PYTHONPATH=OLD python tests/warehouse/released/make.py tests/warehouse/released/schema-N.duckdb.gz

Schema 1 is that of commit 807af65, 2 of 711cb61, 3 of 9fd6d34. A new migration adds a fixture of the version before it.
"""

import gzip
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from fvrec.records import (
    AttributeValue,
    Confusion,
    CurvePoint,
    Embedding,
    Interaction,
    Item,
    Metric,
    Prediction,
    Quarantined,
    Ranking,
    Run,
    User,
)
from fvrec.schema import FIELDS, UNKNOWN
from warehouse import write

AT = datetime(2026, 5, 4, 8, 0, tzinfo=UTC)
ITEMS = 12


def fill(path: Path) -> None:
    """Some rows in every relation, through the functions that the stages of that version call."""
    known = {"category": AttributeValue("dress", "source"), "color": AttributeValue("blue", "rule")}
    attributes = {field: known.get(field, AttributeValue(UNKNOWN, "unknown")) for field in FIELDS}
    splits = ("train", "val", "test", "excluded")
    items = [
        Item(
            *(f"i{n}", "shop", f"g{n // 2}", splits[n % 4], f"data/{n}.jpg", f"{n:064x}", f"裙 'é\" {n}", ""),
            *({"n": n}, attributes, AT),
        )
        for n in range(ITEMS)
    ]
    write.save_items(path, "shop", items, [Quarantined("shop", "x.jpg", "image_unreadable", "torn", AT)])
    values, sure = dict.fromkeys(FIELDS, UNKNOWN), dict.fromkeys(FIELDS, 0.5)
    for name in ("extract-1", "extract-2"):
        run = Run(name, "extraction", "extract_lora", "tiny", "shop", "c0de", {"seed": 7}, AT, AT, "complete")
        write.save_run(path, run)
        good = [
            Prediction(f"i{n}", "lora", "image", "raw", "{}", True, True, "", "", values, sure) for n in range(ITEMS)
        ]
        bad = Prediction("i99", "lora", "image", "raw", "{", False, False, "not JSON")
        write.save_predictions(path, name, [*good, bad])
        write.save_metrics(path, name, [Metric("extraction", "accuracy", 0.5, source="shop", n=12, params={"a": 1})])
        write.save_confusions(path, name, [Confusion("lora", "image", "raw", "test", "color", "blue", "red", 3)])
        write.save_curves(path, name, [CurvePoint("extraction", "reliability", 0.5, 0.25)])
        write.save_rankings(path, name, [Ranking("q1", "mmr", 1, "i2", 0.75, "because", {"request": "dress"})])
    user = User("u1", "shop", "train", {"color": {"blue": 1.0}}, {})
    write.save_users(path, "shop", [user], [Interaction("u1", "i1", "shop", "purchase", AT)])
    write.save_embeddings(path, "shop", [Embedding(f"i{n}", "lite0", (0.5, float(n))) for n in range(ITEMS)])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "live.duckdb"
        fill(database)
        Path(sys.argv[1]).write_bytes(gzip.compress(database.read_bytes(), mtime=0))
