"""A root in one archive and back: whole, checked, never over what is there unless asked, never outside its places."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from fvrec.config import Settings
from fvrec.errors import FvrecError
from fvrec.records import Metric
from tasks.backup import INDEX, backup, restore
from tasks.lock import only_run
from warehouse import write
from warehouse.db import publish, schema_version, writing
from warehouse.read import Warehouse

MADE = {
    "data/processed/items.jsonl": b"{}\n",
    "data/sft/train.jsonl": b"[]\n",
    "data/raw/kaggle_manifest.json": b"{}",
    "outputs/adapters/sft/adapter.safetensors": bytes(range(256)),
    "outputs/manifests/ingest.json": b"{}",
    "reports/rl_report.md": "# 报告\n".encode(),
}
NOT_MADE = ("data/raw/embedded/images/1.jpg", "data/cache/features/x.npy", "outputs/resume/lora/run.json", "notes.txt")


def _root(folder: Path) -> Settings:
    settings = Settings(root=folder)
    for name, data in {**MADE, **dict.fromkeys(NOT_MADE, b"x")}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    write.save_metrics(settings.database, "run1", [Metric("rl", "ild", 0.5)])
    publish(settings.database, settings.snapshot)
    return settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return _root(tmp_path / "root")


@pytest.fixture
def archive(settings: Settings, tmp_path: Path) -> Path:
    return backup(settings, tmp_path / "backup.tar").archive


def _everything(root: Path) -> dict[str, bytes]:
    files = (path for path in root.rglob("*") if path.is_file() and ".prefect" not in path.parts)
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def test_what_was_made_comes_back_in_another_root(archive: Path, tmp_path: Path) -> None:
    elsewhere = Settings(root=tmp_path / "elsewhere")
    put_back = restore(elsewhere, archive)
    assert put_back.files == len(MADE) + 1
    found = _everything(elsewhere.root)
    assert {name: data for name, data in found.items() if not name.startswith("data/warehouse/")} == MADE
    for path in (elsewhere.database, elsewhere.snapshot):
        assert [row.value for row in Warehouse(path).metrics(run_id="run1")] == [0.5]


def test_photos_come_along_when_asked_for(settings: Settings, tmp_path: Path) -> None:
    made = backup(settings, tmp_path / "with.tar", photos=True)
    elsewhere = Settings(root=tmp_path / "elsewhere")
    restore(elsewhere, made.archive)
    assert (elsewhere.root / "data/raw/embedded/images/1.jpg").read_bytes() == b"x"


def test_a_backup_is_one_consistent_state_also_of_a_database_with_a_log(settings: Settings, tmp_path: Path) -> None:
    write.save_metrics(settings.database, "run2", [Metric("rl", "ild", 0.25)])
    made = backup(settings, tmp_path / "b.tar")
    elsewhere = Settings(root=tmp_path / "elsewhere")
    restore(elsewhere, made.archive)
    assert Warehouse(elsewhere.database).fingerprint("run2") == Warehouse(settings.database).fingerprint("run2")


def test_what_is_there_is_kept_unless_asked_otherwise(settings: Settings, archive: Path) -> None:
    write.save_metrics(settings.database, "run1", [Metric("rl", "ild", 0.9)])
    (settings.reports / "later.md").write_text("later")
    before = _everything(settings.root)
    with pytest.raises(FvrecError, match=r"the root is not empty.*--overwrite"):
        restore(settings, archive)
    assert _everything(settings.root) == before
    restore(settings, archive, overwrite=True)
    assert [row.value for row in Warehouse(settings.database).metrics(run_id="run1")] == [0.5]
    assert [row.value for row in Warehouse(settings.snapshot).metrics(run_id="run1")] == [0.5]
    assert not (settings.reports / "later.md").exists()
    assert all((settings.root / name).read_bytes() == b"x" for name in NOT_MADE)


def _rewritten(archive: Path, change: Callable[[dict[str, bytes], dict[str, object]], None]) -> Path:
    """The backup with other contents; its index is kept unless ``change`` changes it."""
    with tarfile.open(archive) as tar:
        files = {one.name: tar.extractfile(one).read() for one in tar.getmembers()}  # type: ignore[union-attr]
    index = json.loads(files.pop(INDEX))
    change(files, index)
    changed = archive.with_name("changed.tar")
    with tarfile.open(changed, "w") as tar:
        for name, data in {INDEX: json.dumps(index).encode(), **files}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return changed


def _flip(files: dict[str, bytes], index: dict[str, object]) -> None:
    files["outputs/adapters/sft/adapter.safetensors"] = bytes(256)


def _drop(files: dict[str, bytes], index: dict[str, object]) -> None:
    del files["reports/rl_report.md"]


def _smuggle(name: str) -> Callable[[dict[str, bytes], dict[str, object]], None]:
    def change(files: dict[str, bytes], index: dict[str, object]) -> None:
        files[name] = b"evil"
        index["files"][name] = sha256(b"evil").hexdigest()  # type: ignore[index]

    return change


def _other_format(files: dict[str, bytes], index: dict[str, object]) -> None:
    index["format"] = 2


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_flip, "damaged.*adapter.safetensors"),
        (_drop, "damaged.*rl_report.md"),
        (_smuggle("../evil.txt"), "leads out of the folder"),
        (_smuggle("/tmp/evil.txt"), "leads out of the folder"),
        (_smuggle("fvrec/evil.py"), r"no place in one.*fvrec/evil\.py"),
        (_smuggle("data/warehouse/current.duckdb"), "no place in one"),
        (_other_format, "not a backup of this version"),
    ],
)
def test_a_bad_archive_changes_nothing(
    settings: Settings, archive: Path, change: Callable[..., None], sentence: str
) -> None:
    bad = _rewritten(archive, change)
    before = _everything(settings.root)
    with pytest.raises(FvrecError, match=sentence):
        restore(settings, bad, overwrite=True)
    assert _everything(settings.root) == before


def test_an_archive_with_a_link_is_refused(settings: Settings, archive: Path) -> None:
    with tarfile.open(archive, "a") as tar:
        link = tarfile.TarInfo("reports/link.md")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(FvrecError, match="a link or a device"):
        restore(settings, archive, overwrite=True)


def test_an_older_backup_comes_forward(settings: Settings, tmp_path: Path) -> None:
    oldest = Path(__file__).parents[1] / "warehouse" / "released" / "schema-1.duckdb.gz"
    settings.database.write_bytes(gzip.decompress(oldest.read_bytes()))
    made = backup(settings, tmp_path / "old.tar")
    elsewhere = Settings(root=tmp_path / "elsewhere")
    restore(elsewhere, made.archive)
    assert schema_version(settings.database) == 1
    assert len(Warehouse(elsewhere.snapshot).items("shop")) == 12


def test_a_newer_backup_is_refused_with_advice(settings: Settings, tmp_path: Path) -> None:
    with writing(settings.database) as connection:
        connection.execute("INSERT INTO schema_migrations (version, name) VALUES (9000, 'later')")
    made, before = backup(settings, tmp_path / "newer.tar"), _everything(settings.root)
    with pytest.raises(FvrecError, match=r"newer version of fvrec: upgrade fvrec first; .*found: 9000"):
        restore(settings, made.archive, overwrite=True)
    assert _everything(settings.root) == before


def test_a_name_that_is_taken_an_empty_root_and_a_run_at_work(
    settings: Settings, archive: Path, tmp_path: Path
) -> None:
    with pytest.raises(FvrecError, match="a file of that name"):
        backup(settings, archive)
    with pytest.raises(FvrecError, match="fvrec run"):
        backup(Settings(root=tmp_path / "empty"), tmp_path / "none.tar")
    assert sorted(path.name for path in tmp_path.glob("*.tar")) == ["backup.tar"]
    (tmp_path / "file").touch()
    with pytest.raises(FvrecError, match="cannot write"):
        backup(settings, tmp_path / "file" / "b.tar")
    with only_run(settings):
        assert restore(Settings(root=tmp_path / "other"), archive).files
