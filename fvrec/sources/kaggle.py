"""``fvrec download``: the two Kaggle catalogues, through kagglehub or from an archive that was downloaded by hand.

kagglehub is an optional extra (``pip install fvrec[kaggle]``) and reads its own credentials; none are handled here.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import httpx

from fvrec.artifacts import digest_file, replace
from fvrec.errors import FvrecError
from fvrec.parallel import Progress
from fvrec.records import utc_now
from fvrec.sources import open_source, reach
from fvrec.sources.provenance import record_download
from fvrec.sources.unpacking import unpack

HOST = "https://www.kaggle.com"
REACH_SECONDS = 4.0
_CACHE = "KAGGLEHUB_CACHE"


@dataclass(frozen=True)
class KaggleSet:
    """A catalogue on Kaggle. ``table`` marks the folder that holds it; ``files`` are what the user needs of it."""

    source: str
    kind: str
    slug: str
    table: str
    files: tuple[str, ...]
    license: str
    needs_account: bool

    @property
    def link(self) -> str:
        """The page to download it from by hand."""
        return f"{HOST}/{'competitions' if self.kind == 'competition' else 'datasets'}/{self.slug}"


@dataclass(frozen=True)
class Downloaded:
    """Where the raw files are now, and the manifest that says where they came from."""

    folder: Path
    manifest: Mapping[str, Any]


_MYNTRA_LICENSE = "as stated on the Kaggle page (MIT at the time of writing); photos stay with their owners"
SETS: Mapping[str, KaggleSet] = MappingProxyType(
    {
        "myntra": KaggleSet(
            "myntra", "dataset", "paramaggarwal/fashion-product-images-dataset", "styles.csv",
            ("styles.csv", "images/{id}.jpg", "styles/{id}.json"), _MYNTRA_LICENSE, needs_account=False,
        ),
        "myntra-small": KaggleSet(
            "myntra-small", "dataset", "paramaggarwal/fashion-product-images-small", "styles.csv",
            ("styles.csv", "images/{id}.jpg"), _MYNTRA_LICENSE, needs_account=False,
        ),
        "hm": KaggleSet(
            "hm", "competition", "h-and-m-personalized-fashion-recommendations", "articles.csv",
            ("articles.csv", "transactions_train.csv", "images/0xx/{article_id}.jpg"),
            "the competition's rules on its Kaggle page: accept them there first; not for redistribution",
            needs_account=True,
        ),
    }
)  # fmt: skip


def download(name: str, folder: Path, *, archive: Path | None = None, progress: Progress = iter) -> Downloaded:
    """Put a catalogue's raw files into ``folder``, which must be empty or missing.

    archive: take them from this zip or tar instead of the network. FvrecError, within seconds, when that cannot be
    done; it says what to download by hand and where to put it.
    """
    wanted = SETS.get(name)
    if wanted is None:
        raise FvrecError("unknown catalogue", found=name, allowed=SETS)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FvrecError(
            "there are files already", where=folder, allowed="an empty or missing folder; --raw names another"
        )
    # Beside the folder, so that a rename puts it in place; kagglehub goes on there after an interruption.
    work = folder.parent / (f".download-{name}" if archive is None else f".unpack-{name}")
    if archive is not None:
        shutil.rmtree(work, ignore_errors=True)
        unpack(archive, work, progress)
        method, version = f"by hand, unpacked from {archive.name}", ""
    else:
        hub = _kagglehub(wanted, folder)
        version = _fetch(hub, wanted, work, folder)
        method = f"kagglehub {hub.__version__}"
    try:
        replace(_holding(work, wanted), folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return Downloaded(folder, _manifest(wanted, folder, method, version))


def by_hand(wanted: KaggleSet, folder: Path) -> str:
    """What to download and where to put it, in one sentence."""
    first = "accept the rules, " if wanted.needs_account else ""
    return (
        f"open {wanted.link}, {first}download the archive, and unpack it so that {folder} holds "
        f"{', '.join(wanted.files)}; or give the archive to --archive"
    )


def _kagglehub(wanted: KaggleSet, folder: Path) -> ModuleType:
    try:
        hub = import_module("kagglehub")
    except ImportError as error:
        raise FvrecError(
            "kagglehub is not installed (pip install 'fvrec[kaggle]')", allowed=by_hand(wanted, folder)
        ) from error
    # kagglehub's own requests have no time limit: whether Kaggle can be reached is asked first, with one.
    try:
        httpx.head(HOST, timeout=REACH_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, ImportError) as error:
        raise FvrecError(
            "Kaggle cannot be reached",
            where=HOST,
            found=reach.without_password(str(error)),
            allowed=by_hand(wanted, folder),
        ) from error
    return hub


def _fetch(hub: ModuleType, wanted: KaggleSet, work: Path, folder: Path) -> str:
    """Download into ``work`` (an interrupted download goes on there); returns the version, empty for a competition."""
    fetch = hub.competition_download if wanted.kind == "competition" else hub.dataset_download
    with _cache_in(work):
        try:
            place = fetch(wanted.slug)
        # kagglehub raises its own classes, requests' and plain OSErrors; all of them mean the same to the user.
        except Exception as error:
            raise FvrecError(
                "Kaggle did not hand out the files",
                where=wanted.link,
                found=reach.without_password(f"{type(error).__name__}: {error}")[:500],
                allowed=by_hand(wanted, folder),
            ) from error
    version = re.search(r"versions/(\d+)$", Path(place).as_posix())
    return version[1] if version else ""


@contextmanager
def _cache_in(work: Path) -> Iterator[None]:
    """kagglehub keeps what it downloads below this folder: on the same disk as the place it is moved to."""
    before = os.environ.get(_CACHE)
    os.environ[_CACHE] = str(work.resolve())
    try:
        yield
    finally:
        if before is None:
            del os.environ[_CACHE]
        else:
            os.environ[_CACHE] = before


def _holding(work: Path, wanted: KaggleSet) -> Path:
    """The outermost folder that holds the table beside a folder of images, without the copy that Kaggle nests in it."""
    tables = sorted(work.rglob(wanted.table), key=lambda path: (len(path.parts), path))
    found = next((table for table in tables if (table.parent / "images").is_dir()), None)
    if found is None:
        raise FvrecError(
            f"the download holds no {wanted.table} beside images/", where=work, allowed=", ".join(wanted.files)
        )
    for copy in (table for table in tables if table != found and table.is_relative_to(found.parent)):
        if copy.exists() and digest_file(copy) == digest_file(found):
            shutil.rmtree(copy.parent)
    return found.parent


def _manifest(wanted: KaggleSet, folder: Path, method: str, version: str) -> dict[str, Any]:
    own = open_source(wanted.source, folder).manifest()
    return record_download(
        folder, own, method=method, slug=wanted.slug, link=wanted.link, version=version, license_text=wanted.license,
        at=utc_now(),
    )  # fmt: skip
