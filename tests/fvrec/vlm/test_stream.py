"""Killed anywhere and started again, a catalogue gives the same rows as in one go."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from fvrec.errors import FvrecError
from fvrec.records import AttributeValue, Prediction, Quarantined
from fvrec.schema import FIELDS, UNKNOWN, VALUES
from fvrec.sources.base import RawRow, complete
from fvrec.vlm.decoding_types import Cut, Reading
from fvrec.vlm.parts import KEY, TABLE, Parts
from fvrec.vlm.stream import Product, in_folder, of_source, stream

IDENTITY = {"weights": "ab", "inputs": "image"}


class Killed(BaseException):
    """Ends a run where a SIGKILL would: nothing catches it."""


def products(count: int) -> list[Product]:
    return [Product(f"item{n:03d}", Path(f"{n}.jpg"), title=f"title {n}") for n in range(count)]


def reading(product: Product) -> Reading:
    number = int(product.key[4:])
    attributes = dict.fromkeys(FIELDS, UNKNOWN) | {"color": VALUES["color"][number % 12]}
    error = "image_unreadable: broken" if number % 10 == 9 else ""
    made = Prediction(
        product.key, "lora", "image", "constrained", "{}", not error, not error, error, "",
        {} if error else attributes, {} if error else dict.fromkeys(FIELDS, number / 1000),
    )  # fmt: skip
    return Reading(made, cuts=(Cut("title", 900, 200),) if number == 3 else ())


class Reader:
    """Reads, counts, and dies before the batch of that number."""

    def __init__(self, dies_at: int = -1) -> None:
        self.read: list[str] = []
        self.batch = 0
        self.dies_at = dies_at

    def __call__(self, chunk: Sequence[Product]) -> list[Reading]:
        if self.batch == self.dies_at:
            raise Killed
        self.batch += 1
        self.read += [product.key for product in chunk]
        return [reading(product) for product in chunk]


def run(out: Path, reader: Reader, count: int = 50, **options: bool):
    with Parts.open(out, IDENTITY, **options) as parts:
        return stream(products(count), reader, parts, part_rows=8)


def test_every_item_has_its_row(tmp_path: Path) -> None:
    out = tmp_path / "new" / "attrs.parquet"
    done = run(out, Reader())
    rows = pq.read_table(out).to_pylist()
    assert (done.rows, done.read, done.errors, done.repeated) == (50, 50, 5, 0)
    assert [row[KEY] for row in rows] == [product.key for product in products(50)]
    assert rows[7]["color"] == VALUES["color"][7]
    assert rows[7]["color_confidence"] == pytest.approx(0.007)
    assert (rows[9]["color"], rows[9]["error"]) == (None, "image_unreadable: broken")
    assert [row[KEY] for row in rows if row["shortened"]] == ["item003"]
    assert [path.name for path in out.parent.iterdir()] == ["attrs.parquet"]


def test_killed_again_and_again_it_gives_the_same_rows_and_reads_nothing_twice(tmp_path: Path) -> None:
    run(tmp_path / "whole.parquet", Reader())
    out = tmp_path / "attrs.parquet"
    read: list[str] = []
    for batches in (0, 1, 2, 1):
        reader = Reader(dies_at=batches)
        with pytest.raises(Killed):
            run(out, reader)
        read += reader.read
    last = Reader()
    run(out, last)
    assert read + last.read == [product.key for product in products(50)]
    assert pq.read_table(out).equals(pq.read_table(tmp_path / "whole.parquet"))


@pytest.mark.parametrize("tear", ["journal", "part", "joined"])
def test_what_a_kill_leaves_torn_is_mended(tmp_path: Path, tear: str) -> None:
    run(tmp_path / "whole.parquet", Reader())
    out = tmp_path / "attrs.parquet"
    folder = tmp_path / "attrs.parquet.parts"
    with pytest.raises(Killed):
        run(out, Reader(dies_at=3))
    if tear == "journal":  # a line that was being written
        journal = folder / "journal.jsonl"
        journal.write_bytes(journal.read_bytes()[:-20])
    elif tear == "part":  # a part that was being written
        (folder / "part-000003.parquet").write_bytes(b"PAR1 torn")
        (folder / ".partial-part-000004.parquet-0123abcd").write_bytes(b"PAR1")
    else:  # joined, but not yet cleared away
        pq.write_table(pq.read_table(tmp_path / "whole.parquet"), out)
    run(out, Reader())
    assert pq.read_table(out).equals(pq.read_table(tmp_path / "whole.parquet"))
    assert not folder.exists()


def test_a_finished_table_is_not_read_again_and_takes_new_items(tmp_path: Path) -> None:
    out = tmp_path / "attrs.parquet"
    run(out, Reader(), 20)
    again, more = Reader(), Reader()
    told: list[int] = []
    with Parts.open(out, IDENTITY) as parts:
        assert stream(products(20), again, parts, advance=told.append).rows == 20
    assert (again.read, sum(told)) == ([], 20)
    assert run(out, more, 24).rows == 24
    assert more.read == [f"item{n:03d}" for n in range(20, 24)]
    assert pq.read_table(out).num_rows == 24


def test_rows_of_other_weights_are_never_joined(tmp_path: Path) -> None:
    out = tmp_path / "attrs.parquet"
    with pytest.raises(Killed):
        run(out, Reader(dies_at=2))
    other = {**IDENTITY, "weights": "cd"}
    with pytest.raises(FvrecError, match="something else: weights"), Parts.open(out, other):
        pass
    run(out, Reader())
    with pytest.raises(FvrecError, match="something else: weights"), Parts.open(out, other):
        pass
    with Parts.open(out, other, restart=True) as parts:
        assert stream(products(4), Reader(), parts).rows == 4


def test_a_file_that_is_something_else_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "attrs.parquet"
    out.write_text("my notes")
    with pytest.raises(FvrecError, match="no table of readings"):
        run(out, Reader())
    assert out.read_text() == "my notes"


def test_a_part_that_was_altered_is_an_error(tmp_path: Path) -> None:
    out = tmp_path / "attrs.parquet"
    with pytest.raises(Killed):
        run(out, Reader(dies_at=2))
    (tmp_path / "attrs.parquet.parts" / "part-000001.parquet").unlink()
    with pytest.raises(FvrecError, match="gone or altered"):
        run(out, Reader())
    assert run(out, Reader(), restart=True).rows == 50


def test_repeats_are_counted_and_problems_are_rows(tmp_path: Path) -> None:
    odd = [*products(3), Product("item001", Path("again.jpg")), Product("bad", Path("x"), problem="image_missing: x")]
    reader = Reader()
    with Parts.open(tmp_path / "attrs.parquet", IDENTITY) as parts:
        done = stream(odd, reader, parts)
    assert (done.rows, done.repeated, done.errors) == (4, 1, 1)
    assert "bad" not in reader.read
    assert pq.read_table(tmp_path / "attrs.parquet").to_pylist()[3]["error"] == "image_missing: x"


def test_nothing_to_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FvrecError, match="nothing to read"), Parts.open(tmp_path / "a.parquet", IDENTITY) as parts:
        stream([], Reader(), parts)


def test_a_folder_gives_its_pictures_by_name(tmp_path: Path) -> None:
    for name in ("b/2.PNG", "b/10.jpg", "a.webp", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name, "PNG") if name != "notes.txt" else (tmp_path / name).write_text(
            "x"
        )
    assert [product.key for product in in_folder(tmp_path)] == ["a.webp", "b/10.jpg", "b/2.PNG"]
    with pytest.raises(FvrecError, match="no such folder"):
        in_folder(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FvrecError, match="no pictures"):
        in_folder(tmp_path / "empty")


def test_a_source_gives_every_row_its_place(tmp_path: Path) -> None:
    photo = tmp_path / "1.png"
    Image.new("RGB", (4, 4)).save(photo)

    class Two:
        name, raw_dir, supervised_fields = "two", tmp_path, ("color",)

        def rows(self):
            known = complete({"color": AttributeValue("red", "source")})
            yield RawRow("1", "g1", photo, "title", "description", {}, known)
            yield Quarantined("two", "line 2", "bad_row", "too few columns")
            yield RawRow("3", "g3", tmp_path / "3.png", "", "", {}, known)

    first, second, third = of_source(Two())  # type: ignore[arg-type]
    assert (first.key, first.title, first.problem) == ("1", "title", "")
    assert second.problem == "bad_row: too few columns"
    assert (third.key, third.problem) == ("3", "")  # the reader will say that its photo is gone


SCRIPT = """
import sys, time
from pathlib import Path
from tests.fvrec.vlm.test_stream import IDENTITY, Reader, products
from fvrec.vlm.parts import Parts
from fvrec.vlm.stream import stream
class Slow(Reader):
    def __call__(self, chunk):
        print("batch", flush=True)
        time.sleep(0.05)
        return super().__call__(chunk)
with Parts.open(Path(sys.argv[1]), IDENTITY) as parts:
    stream(products(200), Slow(), parts, part_rows=8)
"""


def test_a_true_sigkill_at_any_moment_loses_nothing(tmp_path: Path) -> None:
    out = tmp_path / "attrs.parquet"
    command = [sys.executable, "-c", SCRIPT, str(out)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    for batches in (2, 5):
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
            assert process.stdout is not None
            for _ in range(batches):
                process.stdout.readline()
            process.send_signal(signal.SIGKILL)
    journal = (tmp_path / "attrs.parquet.parts" / "journal.jsonl").read_text().splitlines()
    assert json.loads(journal[0])["identity"] == IDENTITY
    assert len(journal) > 3
    rows = run(out, Reader(), 200)
    assert rows.rows == 200
    assert rows.read < 200
    run(tmp_path / "whole.parquet", Reader(), 200)
    assert pq.read_table(out).equals(pq.read_table(tmp_path / "whole.parquet"))
    assert pq.read_schema(out).names == TABLE.names
