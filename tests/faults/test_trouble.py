"""Disks that are full or read-only, and a Prefect server that is gone: one clear sentence, nothing half-written.

A file that may not grow stands for a full disk; but it also refuses to write again what is there, which a full disk
does not, so it is kept below a database's first block. Where the system lets an ordinary user mount a disk
(``unshare``), a real small one is filled, grown, and the work repeated.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from fvrec.config import Settings
from fvrec.errors import FvrecError
from tests.faults.process import PROJECT
from warehouse.read import Warehouse

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_home")]
STAGES = ("ingest", "sft_data", "features", "publish")
_OWN_DISK = ["unshare", "--mount", "--map-root-user"]


@contextmanager
def no_file_may_pass(size: int) -> Iterator[None]:
    """Files of this process end at so many bytes; a longer one is an error of the system, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def stages():  # type: ignore[no-untyped-def]
    from tasks import ingest, report, sft, sft_data

    return {one.name: one for one in (ingest.ingest, sft_data.sft_data, sft.features, report.publish)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, prefect_home: Path) -> Settings:
    """A root in which these stages are complete; tests copy it."""
    settings = Settings(root=tmp_path_factory.mktemp("trouble"), preset="smoke", limit=60)
    for stage in stages().values():
        stage(settings)
    return settings


@pytest.fixture
def settings(made: Settings, tmp_path: Path) -> Settings:
    copy = tmp_path / "root"
    shutil.copytree(made.root, copy, symlinks=True)
    return made.model_copy(update={"root": copy})


def _unfinished(root: Path) -> list[str]:
    return [str(path) for path in root.rglob("*") if ".partial" in path.name or path.name == ".drawing"]


@pytest.mark.parametrize(
    ("name", "size"),
    [(name, size) for name in STAGES for size in (0, 2_000)],
)
def test_a_full_disk_in_a_stage_is_told_and_mended(settings: Settings, name: str, size: int) -> None:
    stage = stages()[name]
    manifest = stage.manifest_path(settings)
    manifest.unlink()
    shutil.rmtree(settings.cache / "features")
    outputs = stage.outputs(settings)
    before = {path: path.read_bytes() for path in outputs if path.is_file()}

    def cramped(context):  # type: ignore[no-untyped-def]
        with no_file_may_pass(size):
            stage.work(context)

    with pytest.raises(FvrecError) as told:
        replace(stage, work=cramped, module=stage.work.__module__)(settings)
    assert any(
        word in str(told.value) for word in ("File too large", "cannot write", "the database", "cannot be written")
    )
    assert not manifest.exists()
    assert {path: path.read_bytes() for path in before} == before
    assert [path for path in _unfinished(settings.root) if "snapshot" not in path] == []
    assert not [run for run in Warehouse(settings.database).runs() if run.status == "running"]
    assert Warehouse(settings.snapshot).runs()
    assert not stage(settings).reused
    assert _unfinished(settings.root) == []


def _needs_an_own_disk() -> None:
    if subprocess.run([*_OWN_DISK, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody mount a disk of their own (unshare)")


def _on_own_disk(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A shell script whose mounts nobody else sees."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "FVREC_"))}
    environment |= {"PYTHONPATH": str(PROJECT), "FVREC_QUIET": "1", "COLUMNS": "400", "PYTHON": sys.executable}
    command = [*_OWN_DISK, "bash", "-euc", script, "script", *map(str, arguments)]
    return subprocess.run(
        command, env=environment, cwd=PROJECT, capture_output=True, text=True, timeout=600, check=False
    )


FULL = """
mount -t tmpfs -o size=4000k none "$1"
mkdir "$1/root"
code=0; "$PYTHON" -m fvrec.cli run --preset smoke --root "$1/root" || code=$?
echo "run: $code"
find "$1/root" -mindepth 1
"""


def test_a_disk_without_room_is_told_before_anything_is_started(tmp_path: Path) -> None:
    """Prefect's server would wait ten minutes for a database that it cannot make."""
    _needs_an_own_disk()
    done = _on_own_disk(FULL, _folder(tmp_path / "disk"))
    assert "the disk is full" in done.stderr
    assert done.stdout.strip() == "run: 2"


WAREHOUSE = """
mount -t tmpfs -o size=16m none "$1"
"$PYTHON" -m tests.faults.filled "$1"
"""


def test_a_warehouse_on_a_disk_that_is_really_full_keeps_what_was_committed(tmp_path: Path) -> None:
    _needs_an_own_disk()
    done = _on_own_disk(WAREHOUSE, _folder(tmp_path / "disk"))
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) >= 10
    assert [line for line in lines if not line.startswith("as it was: ")] == []
    assert len({line for line in lines if "cannot be written" in line or "cannot publish" in line}) >= 2
    assert len([line for line in lines if "No space left on device" in line]) >= 2


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


READ_ONLY = """
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
code=0; "$PYTHON" -m fvrec.cli sql "select count(*) as n from items" --format csv --root "$1" || code=$?
echo "sql: $code"
code=0; "$PYTHON" -m fvrec.cli publish --preset smoke --root "$1" || code=$?
echo "publish: $code"
code=0; "$PYTHON" -m fvrec.cli backup "$1/backup.tar" --root "$1" || code=$?
echo "backup: $code"
"""


def test_a_read_only_disk_can_be_read_and_refuses_in_a_sentence(settings: Settings) -> None:
    _needs_an_own_disk()
    done = _on_own_disk(READ_ONLY, settings.root)
    said = done.stdout + done.stderr
    assert "sql: 0" in said, said
    assert "publish: 2" in said, said
    assert "backup: 2" in said, said
    assert said.count("Read-only file system") >= 2
    assert "Traceback" not in said


def test_a_prefect_server_that_is_gone_is_named(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "FVREC_"))}
    environment |= {"PREFECT_API_URL": "http://127.0.0.1:9/api", "PYTHONPATH": str(PROJECT), "COLUMNS": "400"}
    command = [
        sys.executable,
        "-m",
        "fvrec.cli",
        "ingest",
        "--preset",
        "smoke",
        "--limit",
        "40",
        "--root",
        str(tmp_path),
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2
    assert "the Prefect server cannot be reached; where: http://127.0.0.1:9/api" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()
