"""Downloads: archives that try to get out, what is said without network or package, and what the manifest keeps.

Kaggle itself is not asked: a package named kagglehub that hands out a local folder stands in for the service.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import resource
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import psutil
import pytest

from fvrec.errors import FvrecError
from fvrec.sources import kaggle, open_source
from fvrec.sources.provenance import RECORD, with_provenance
from fvrec.sources.unpacking import MAX_RATIO, unpack
from tests.fvrec.myntra_folder import line, write_folder

ROOT = Path(__file__).resolve().parents[2]


def zipped(path: Path, names: dict[str, bytes], *, mode: int = 0o100644) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in names.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return path


def tarred(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_archives_unpack_to_what_they_hold(tmp_path: Path) -> None:
    holds = {"a/styles.csv": b"id\n", "a/images/1.jpg": b"\xff\xd8"}
    assert unpack(zipped(tmp_path / "a.zip", holds), tmp_path / "zip") == 2
    assert (
        unpack(tarred(tmp_path / "a.tgz", [(tarfile.TarInfo(n), d) for n, d in holds.items()]), tmp_path / "tar") == 2
    )
    assert everything(tmp_path / "zip") == everything(tmp_path / "tar") == sorted(holds)


@pytest.mark.parametrize("name", ["../evil.txt", "/tmp/evil.txt", "a/../../evil.txt", "..\\evil.txt", "C:\\evil.txt"])
def test_a_name_that_leads_out_stops_before_anything_is_written(tmp_path: Path, name: str) -> None:
    holds = {"fine.txt": b"x", name: b"evil"}
    home = tmp_path / "home"
    home.mkdir()
    archives = [zipped(tmp_path / "a.zip", holds),
                tarred(tmp_path / "a.tgz", [(tarfile.TarInfo(n), d) for n, d in holds.items()])]  # fmt: skip
    for archive in archives:
        with pytest.raises(FvrecError, match="leads out of the folder"):
            unpack(archive, home / "out")
        assert everything(home) == []
    assert not (tmp_path / "evil.txt").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    link = tarfile.TarInfo("images")
    link.type, link.linkname = kind, "/etc"
    with pytest.raises(FvrecError, match="link or a device"):
        unpack(tarred(tmp_path / "a.tgz", [(link, b"")]), tmp_path / "out")
    with pytest.raises(FvrecError, match="holds a link"):
        unpack(zipped(tmp_path / "a.zip", {"images": b"/etc"}, mode=0o120777), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_bombs_broken_archives_and_other_files(tmp_path: Path) -> None:
    bomb = zipped(tmp_path / "bomb.zip", {"zeros": bytes(MAX_RATIO * (1 << 16) + 1)})
    whole = zipped(tmp_path / "whole.zip", {"a": os.urandom(5000)}).read_bytes()
    (tmp_path / "broken.zip").write_bytes(whole[:1000] + bytes(1000) + whole[2000:])
    (tmp_path / "text.zip").write_text("no archive")
    for archive, sentence in ((bomb, "out of proportion"), (tmp_path / "broken.zip", "cannot unpack"),
                              (tmp_path / "text.zip", "not an archive"),
                              (tmp_path / "no.zip", "is missing")):  # fmt: skip
        with pytest.raises(FvrecError, match=sentence):
            unpack(archive, tmp_path / "out")
        assert not (tmp_path / "out").exists()


def _header(kind: bytes, size: int) -> bytes:
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(("kind", "sentence"), [(tarfile.REGTYPE, "contents are out of proportion"),
                                                (tarfile.GNUTYPE_LONGNAME, "a header .* is out of proportion"),
                                                (tarfile.XHDTYPE, "a header .* is out of proportion")])  # fmt: skip
@pytest.mark.parametrize("opener", [gzip.open, bz2.open, lzma.open])
def test_a_compressed_tar_is_not_gone_through_to_find_out_that_it_is_a_bomb(
    tmp_path: Path, kind: bytes, sentence: str, opener: Callable[..., IO[bytes]]
) -> None:
    """2 GiB of zeros would take seconds to unpack and, as a name, as much memory; here the sizes are only announced."""
    size = 2 << 30
    with opener(tmp_path / "bomb.tar.x", "wb") as file:
        file.write(_header(kind, size) + bytes(1 << 16))
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    started, room = time.process_time(), psutil.Process().memory_info().vms + (1 << 30)
    resource.setrlimit(resource.RLIMIT_AS, (room, hard))
    try:
        with pytest.raises(FvrecError, match=sentence):
            unpack(tmp_path / "bomb.tar.x", tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert time.process_time() - started < 5
    assert not (tmp_path / "out").exists()


def test_a_size_that_lies_is_not_believed(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"a.csv": b"x" * 5000})
    data = bytearray(archive.read_bytes())
    central = data.rindex(b"PK\x01\x02")
    data[central + 24 : central + 28] = (100).to_bytes(4, "little")
    archive.write_bytes(bytes(data))
    with pytest.raises(FvrecError, match=r"larger than its archive says|cannot unpack"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def command(*arguments: str, path: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("FVREC_", "KAGGLE"))}
    plain |= {
        "PYTHONPATH": os.pathsep.join(map(str, [*([path] if path else []), ROOT])),
        "COLUMNS": "400",
        **environment,
    }
    return subprocess.run(
        [sys.executable, "-m", "fvrec.cli", "download", *arguments],
        env=plain,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(("name", "table"), [("myntra", "styles.csv"), ("hm", "articles.csv")])
def test_without_network_it_says_what_to_fetch_by_hand(tmp_path: Path, name: str, table: str) -> None:
    started = time.monotonic()
    closed = "http://127.0.0.1:9"
    done = command(name, "--root", str(tmp_path), HTTPS_PROXY=closed, HTTP_PROXY=closed, NO_PROXY="")
    assert done.returncode == 2
    assert time.monotonic() - started < 30
    assert "Traceback" not in done.stderr
    assert kaggle.SETS[name].link in done.stderr
    assert table in done.stderr
    assert str(tmp_path / "data" / "raw" / name) in done.stderr
    assert everything(tmp_path) == []


def test_without_the_package_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "kagglehub.py").write_text("raise ImportError('not here')")
    done = command("hm", "--root", str(tmp_path / "root"), path=tmp_path)
    assert done.returncode == 2
    assert "pip install 'fvrec[kaggle]'" in done.stderr
    assert "competitions/h-and-m-personalized-fashion-recommendations" in done.stderr


STAND_IN = """
import os, shutil
__version__ = "1.0.2"
class UnauthenticatedError(Exception): ...
def competition_download(slug):
    raise UnauthenticatedError("User is not authenticated")
def dataset_download(slug):
    place = os.path.join(os.environ["KAGGLEHUB_CACHE"], "datasets", slug, "versions", "3")
    shutil.copytree(os.environ["STAND_IN_FOLDER"], os.path.join(place))
    shutil.copytree(os.environ["STAND_IN_FOLDER"], os.path.join(place, "myntradataset"))
    return place
"""
REACHED = "import httpx\nhttpx.head = lambda *a, **k: None\n"


def test_what_kaggle_hands_out_is_put_in_place_with_its_origin(tmp_path: Path) -> None:
    served = write_folder(tmp_path / "served", [line("1", "x"), line("2", "y")], photos=["1", "2"])
    hub = tmp_path / "hub"
    hub.mkdir()
    (hub / "kagglehub.py").write_text(REACHED + STAND_IN)
    root = tmp_path / "root"
    done = command("myntra-small", "--root", str(root), path=hub, STAND_IN_FOLDER=str(served))
    assert done.returncode == 0, done.stderr
    raw = root / "data" / "raw" / "myntra-small"
    assert everything(raw) == [RECORD, "images/1.jpg", "images/2.jpg", "styles.csv"]
    assert sorted(path.name for path in raw.parent.iterdir()) == ["kaggle_manifest.json", "myntra-small"]
    manifest = json.loads((raw.parent / "kaggle_manifest.json").read_text())
    assert (manifest["version"], manifest["method"]) == ("3", "kagglehub 1.0.2")
    assert manifest["slug"] == "paramaggarwal/fashion-product-images-small"
    assert manifest["fields"]["baseColour"].startswith("main colour")
    assert len(manifest["files"]["styles.csv"]) == 64
    again = command("myntra-small", "--root", str(root), path=hub, STAND_IN_FOLDER=str(served))
    assert again.returncode == 2
    assert "there are files already" in again.stderr


def test_without_credentials_it_says_what_to_fetch_by_hand(tmp_path: Path) -> None:
    (tmp_path / "kagglehub.py").write_text(REACHED + STAND_IN)
    done = command("hm", "--root", str(tmp_path / "root"), path=tmp_path)
    assert done.returncode == 2
    assert "not authenticated" in done.stderr
    assert "accept the rules" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_archive_from_the_browser_is_taken_and_later_manifests_keep_its_origin(tmp_path: Path) -> None:
    served = write_folder(tmp_path / "served", [line("1", "x")], photos=["1"])
    holds = {f"archive/{name}": (served / name).read_bytes() for name in everything(served)}
    folder = tmp_path / "raw" / "myntra"
    made = kaggle.download("myntra", folder, archive=zipped(tmp_path / "archive.zip", holds))
    assert made.manifest["method"] == "by hand, unpacked from archive.zip"
    kept = with_provenance(folder, open_source("myntra", folder).manifest())
    assert (kept["method"], kept["downloaded_at"]) == (made.manifest["method"], made.manifest["downloaded_at"])
    write_folder(folder, [line("1", "another")], photos=[])
    assert with_provenance(folder, open_source("myntra", folder).manifest())["method"] == "by hand"
    with pytest.raises(FvrecError, match=r"holds no articles.csv"):
        kaggle.download("hm", tmp_path / "raw" / "hm", archive=tmp_path / "archive.zip")
    assert [path.name for path in folder.parent.iterdir()] == ["myntra"]
    with pytest.raises(FvrecError, match="unknown catalogue"):
        kaggle.download("zalando", tmp_path / "raw" / "z")
