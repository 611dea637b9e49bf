"""Reuse and failure of stages: the manifest decides, and a failed run leaves nothing half-done."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from fvrec.artifacts import Manifest, atomic_write, digest_file
from fvrec.config import Settings
from fvrec.errors import FvrecError
from fvrec.records import Metric, utc_now

pytestmark = pytest.mark.usefixtures("prefect_home")


@dataclass
class Bench:
    """A stage that writes a file, a folder and a metric, and the knobs that its result hangs on."""

    settings: Settings
    text: str = "one"
    size: int = 1
    raw: str = "a"
    mishap: Callable[[], None] = lambda: None
    runs: list[str] = field(default_factory=list)

    def stage(self, name: str = "first"):  # type: ignore[no-untyped-def]
        from tasks.context import Context
        from tasks.stage import Stage

        file, folder = self.settings.processed / f"{name}.txt", self.settings.models / name

        def work(context: Context) -> None:
            self.runs.append(name)
            context.build(file).write_text(self.text)
            part = context.build(folder)
            part.mkdir()
            (part / "weights").write_text(self.text)
            context.save_metrics([Metric(stage=name, metric="length", value=len(self.text))])
            self.mishap()

        return Stage(
            name=name,
            flow="ingest",
            work=work,
            outputs=lambda _: [file, folder],
            config=lambda _: {"size": self.size},
            needs={},
            external=lambda _: {"raw": self.raw},
            module="tasks.progress",
        )

    def file(self, name: str = "first") -> Path:
        return self.settings.processed / f"{name}.txt"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(Settings(root=tmp_path, preset="smoke"))


def test_a_second_call_with_nothing_changed_is_reused(bench: Bench) -> None:
    stage = bench.stage()
    first, second = stage(bench.settings), stage(bench.settings)
    assert (first.reused, second.reused) == (False, True)
    assert bench.runs == ["first"]
    assert second.run_id == first.run_id
    assert set(second.outputs) == {"data/processed/first.txt", "outputs/models/first", "metrics"}
    assert second.outputs == first.outputs


def _delete_file(bench: Bench) -> None:
    bench.file().unlink()


def _alter_file(bench: Bench) -> None:
    bench.file().write_text("two")


def _alter_folder(bench: Bench) -> None:
    (bench.settings.models / "first" / "weights").write_text("two")


def _delete_rows(bench: Bench) -> None:
    from warehouse import write

    manifest = Manifest.read(bench.settings.manifests / "first.json")
    assert manifest is not None
    write.clear_run(bench.settings.database, manifest.run_id)


def _delete_warehouse(bench: Bench) -> None:
    shutil.rmtree(bench.settings.warehouse_dir)


def _delete_manifest(bench: Bench) -> None:
    (bench.settings.manifests / "first.json").unlink()


def _change_config(bench: Bench) -> None:
    bench.size = 2


def _change_input(bench: Bench) -> None:
    bench.raw = "b"


@pytest.mark.parametrize(
    "harm",
    [
        _delete_file,
        _alter_file,
        _alter_folder,
        _delete_rows,
        _delete_warehouse,
        _delete_manifest,
        _change_config,
        _change_input,
    ],
)
def test_what_is_gone_altered_or_outdated_is_made_again(bench: Bench, harm: Callable[[Bench], None]) -> None:
    bench.stage()(bench.settings)
    harm(bench)
    again = bench.stage()(bench.settings)
    assert not again.reused
    assert bench.file().read_text() == "one"
    assert bench.stage()(bench.settings).reused
    assert bench.runs == ["first", "first"]


def test_an_edit_in_the_import_closure_runs_it_again(bench: Bench) -> None:
    stage = bench.stage()
    stage(bench.settings)
    other = replace(stage, module="tasks.check")
    assert not other(bench.settings).reused
    assert other(bench.settings).reused


def test_the_manifest_decides_even_when_prefect_remembers_an_older_result(bench: Bench) -> None:
    stage = bench.stage()
    stage(bench.settings)
    bench.size = 2
    stage(bench.settings)
    bench.size = 1
    assert not stage(bench.settings).reused
    assert len(bench.runs) == 3


def test_the_manifest_decides_even_when_prefect_has_forgotten(bench: Bench, prefect_home: Path) -> None:
    bench.stage()(bench.settings)
    shutil.rmtree(prefect_home / "storage")
    assert bench.stage()(bench.settings).reused
    assert bench.runs == ["first"]


def test_a_failed_stage_leaves_the_old_output_and_no_manifest(bench: Bench) -> None:
    from warehouse.read import Warehouse

    bench.stage()(bench.settings)
    before = sorted(path for path in bench.settings.root.rglob("*") if path.is_file() and path.suffix != ".wal")

    def fail() -> None:
        raise FvrecError("no more room", where="here")

    bench.text, bench.size, bench.mishap = "longer", 2, fail
    with pytest.raises(FvrecError, match="no more room; where: here"):
        bench.stage()(bench.settings)
    after = sorted(path for path in bench.settings.root.rglob("*") if path.is_file() and path.suffix != ".wal")
    assert [path for path in before if path not in after] == [bench.settings.manifests / "first.json"]
    assert [path for path in after if path not in before] == []
    assert bench.file().read_text() == "one"
    warehouse = Warehouse(bench.settings.database)
    assert [run.status for run in warehouse.runs()] == ["complete", "failed"]
    failed = warehouse.runs()[-1]
    assert warehouse.metrics(run_id=failed.run_id) == []
    bench.mishap = lambda: None
    assert not bench.stage()(bench.settings).reused
    assert bench.file().read_text() == "longer"


def test_an_output_that_was_announced_but_not_written_fails_the_stage(bench: Bench) -> None:
    stage = bench.stage()
    absent = replace(stage, outputs=lambda settings: [settings.reports / "never.md"])
    with pytest.raises(FvrecError, match=r"did not write an output.*never\.md"):
        absent(bench.settings)
    assert not (bench.settings.manifests / "first.json").exists()


def _in_another_process(work: str, root: Path) -> subprocess.Popen[str]:
    """``work`` within a run of stage ``first`` in this root, in a process of its own; returns when it has started."""
    code = f"""
import os, signal, sys
from pathlib import Path
from fvrec.config import Settings
from fvrec.records import Metric
from tasks.context import Context
from tasks.lock import only_run
settings = Settings(root=Path({str(root)!r}), preset="smoke")
context = Context("first", "ingest", settings, {{}}, {{}}, "code", run_id="killed")
with only_run(settings), context.running():
    context.build(settings.models / "first").mkdir()
    context.save_metrics([Metric(stage="first", metric="length", value=1)])
    print("started", flush=True)
    {work}
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


def test_what_a_killed_run_left_is_cleared_by_the_next(bench: Bench) -> None:
    from warehouse.read import Warehouse

    killed = _in_another_process("os.kill(os.getpid(), signal.SIGKILL)", bench.settings.root)
    assert killed.wait(timeout=60) == -signal.SIGKILL
    warehouse = Warehouse(bench.settings.database)
    assert [run.status for run in warehouse.runs()] == ["running"]
    assert len(list(bench.settings.models.glob(".partial-first-*"))) == 1
    bench.stage()(bench.settings)
    assert [(run.run_id == "killed", run.status) for run in warehouse.runs()] == [(True, "failed"), (False, "complete")]
    assert warehouse.metrics(run_id="killed") == []
    assert [path.name for path in bench.settings.models.iterdir()] == ["first"]


def test_a_clock_that_was_set_back_does_not_make_an_old_run_the_newest(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from warehouse.read import Warehouse

    first = bench.stage()(bench.settings)
    yesterday = utc_now() - timedelta(days=1)
    monkeypatch.setattr("tasks.context.utc_now", lambda: yesterday)
    bench.text, bench.size = "later", 2
    second = bench.stage()(bench.settings)
    warehouse = Warehouse(bench.settings.database)
    newest = warehouse.latest_run("first", "embedded", "smoke")
    assert newest is not None
    assert newest.run_id == second.run_id
    assert [run.run_id for run in warehouse.runs()] == [first.run_id, second.run_id]
    assert [row.value for row in warehouse.metrics(stage="first")] == [len("later")]


def test_what_killed_runs_left_anywhere_is_swept_and_told(bench: Bench) -> None:
    settings = bench.settings
    bench.stage()(settings)
    caches = settings.cache / "features" / "lite0-0123456789abcdef"
    left = [
        settings.processed / ".partial-.partial-items.jsonl-0123abcd-89abcdef",
        settings.logs / ".partial-first_commands.txt-0123abcd",
        settings.resume / "lora" / ".partial-run.json-0123abcd",
        settings.models / ".partial-base-0123abcd" / "model.safetensors",
        settings.source_manifest.with_name(".partial-kaggle_manifest.json-0123abcd"),
        caches / "shard-0123456789abcdef0123456789abcdef.npy",
        settings.warehouse_dir / "snapshot-20260101T000000Z-000001.partial",
    ]
    kept = [
        caches / "shard-fedcba9876543210fedcba9876543210.npy",
        caches / "shard-fedcba9876543210fedcba9876543210.json",
        settings.data / "raw" / "myntra" / ".partial-mine-0123abcd",
        settings.root / ".partial-notes.txt-0123abcd",
        settings.processed / ".partial-mine",
    ]
    for path in (*left, *kept):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    assert bench.stage()(settings).reused
    assert [path for path in left if path.exists()] == []
    assert [path for path in kept if not path.exists()] == []
    assert not (settings.models / ".partial-base-0123abcd").exists()
    told = {line.split(" ", 1)[1] for line in (settings.logs / "leftovers.txt").read_text().splitlines()}
    expected = {
        path.relative_to(settings.root).as_posix() for path in left if path.parent.name != ".partial-base-0123abcd"
    }
    assert told == expected | {"outputs/models/.partial-base-0123abcd"}


def test_a_second_process_does_not_run_in_the_same_root(bench: Bench) -> None:
    other = _in_another_process("sys.stdin.read()", bench.settings.root)
    with pytest.raises(FvrecError, match=f"another run is at work in this root.*found: 'process {other.pid}'"):
        bench.stage()(bench.settings)
    other.communicate(timeout=60)
    assert other.returncode == 0
    bench.stage()(bench.settings)
    assert bench.runs == ["first"]


@pytest.mark.parametrize("raw", ["{tmp}/elsewhere", "elsewhere"])
def test_drawn_photos_may_lie_outside_the_root(
    raw: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks.ingest import ingest

    outside = tmp_path_factory.mktemp("outside")
    monkeypatch.chdir(outside)
    settings = Settings(root=tmp_path, preset="smoke", raw=Path(raw.format(tmp=outside)), limit=40)
    made = ingest(settings)
    assert (outside / "elsewhere").as_posix() in made.outputs
    assert "data/processed/items.jsonl" in made.outputs
    assert ingest(settings).reused
    (outside / "elsewhere" / "styles.csv").unlink()
    assert not ingest(settings).reused


def test_trouble_of_the_machine_is_tried_again_a_mistake_is_not(bench: Bench) -> None:
    troubles: list[Exception] = [OSError("busy")]

    def trouble() -> None:
        if troubles:
            raise troubles.pop()

    bench.mishap = trouble
    assert not bench.stage()(bench.settings).reused
    assert len(bench.runs) == 2
    troubles.append(FvrecError("wrong"))
    bench.size = 2
    with pytest.raises(FvrecError, match="wrong"):
        bench.stage()(bench.settings)
    assert len(bench.runs) == 3


def _read_a_loop(folder: Path) -> None:
    """The system refuses to follow it, as it may refuse a file on a share that stumbles."""
    link = folder / "loop"
    link.symlink_to(link)
    digest_file(link)


def _open_no_database(folder: Path) -> None:
    from warehouse.read import Warehouse

    path = folder / "not.duckdb"
    path.write_bytes(b"no database" * 1000)
    Warehouse(path).runs()


def _read_what_is_not_there(folder: Path) -> None:
    digest_file(folder / "absent")


def _write_below_a_file(folder: Path) -> None:
    (folder / "file").touch()
    atomic_write(folder / "file" / "below", "text")


@pytest.mark.parametrize(
    ("trouble", "attempts"),
    [(_read_a_loop, 2), (_open_no_database, 2), (_read_what_is_not_there, 1), (_write_below_a_file, 1)],
)
def test_trouble_is_seen_behind_the_error_that_users_get(
    bench: Bench, tmp_path_factory: pytest.TempPathFactory, trouble: Callable[[Path], None], attempts: int
) -> None:
    folder = tmp_path_factory.mktemp("trouble")

    def at_first() -> None:
        if len(bench.runs) == 1:
            trouble(folder)

    bench.mishap = at_first
    with nullcontext() if attempts > 1 else pytest.raises(FvrecError, match="cannot"):
        bench.stage()(bench.settings)
    assert len(bench.runs) == attempts


def test_only_changed_content_of_an_upstream_stage_runs_the_next(bench: Bench) -> None:
    upstream = bench.stage()
    needs = {"first": ("data/processed/first.txt", "metrics")}
    downstream = replace(bench.stage("second"), needs=needs, external=lambda _: {}, config=lambda _: {})
    upstream(bench.settings)
    downstream(bench.settings)
    bench.size = 2  # the upstream stage runs again and makes the same
    assert not upstream(bench.settings).reused
    assert downstream(bench.settings).reused
    bench.text = "other"
    bench.size = 1
    upstream(bench.settings)
    assert not downstream(bench.settings).reused


def test_a_stage_without_its_upstream_says_which(bench: Bench) -> None:
    alone = replace(bench.stage("second"), needs={"first": ("metrics",)})
    with pytest.raises(FvrecError, match="stage second needs stage first, which is not complete"):
        alone(bench.settings)
    bench.stage()(bench.settings)
    elsewhere = Settings(root=bench.settings.root, preset="tiny")
    with pytest.raises(FvrecError, match=r"needs stage first with --preset tiny; .*found: 'smoke'"):
        alone(elsewhere)


@pytest.mark.parametrize(
    ("harm", "fault"),
    [
        (_delete_file, "data/processed/first.txt is gone"),
        (_alter_file, "data/processed/first.txt was altered"),
        (_delete_rows, "metrics was altered"),
        (_delete_warehouse, "metrics was altered"),
    ],
)
def test_an_upstream_that_was_altered_is_not_built_upon(
    bench: Bench, harm: Callable[[Bench], None], fault: str
) -> None:
    downstream = replace(bench.stage("second"), needs={"first": ("data/processed/first.txt", "metrics")})
    bench.stage()(bench.settings)
    harm(bench)
    with pytest.raises(FvrecError, match=rf"what stage first made .*: {fault}; .*`fvrec run`"):
        downstream(bench.settings)
    assert bench.runs == ["first"]
    bench.stage()(bench.settings)
    downstream(bench.settings)


def test_of_an_upstream_only_what_is_needed_is_looked_at(bench: Bench) -> None:
    downstream = replace(bench.stage("second"), needs={"first": ("data/processed/first.txt",)})
    bench.stage()(bench.settings)
    _alter_folder(bench)
    _delete_rows(bench)
    assert not downstream(bench.settings).reused


def test_logs_say_how_to_repeat_it_and_what_it_made(bench: Bench) -> None:
    result = bench.stage()(bench.settings)
    command = (bench.settings.logs / "first_commands.txt").read_text()
    assert command == f"fvrec ingest --source embedded --preset smoke --seed 7 --root {bench.settings.root}\n"
    made = (bench.settings.logs / "first_outputs.txt").read_text()
    for name, digest in result.outputs.items():
        assert f"{digest}  {name}\n" in made
