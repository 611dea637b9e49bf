"""Near-copies: every pair within the bound is found, no other, and products that only look alike stay apart."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fvrec import catalog
from fvrec.catalog.near import NEAR, near_pairs
from fvrec.errors import SanityError
from fvrec.perceptual import perceptual_hash
from fvrec.sources import open_source
from tests.fvrec.myntra_folder import line, write_folder
from tests.fvrec.test_imaging import scene

DATA = Path(__file__).parents[2] / "data" / "raw"


def _flipped(rng: np.random.Generator, row: np.ndarray, bits: int) -> np.ndarray:
    places = np.unpackbits(row.view(np.uint8))
    places[rng.choice(256, bits, replace=False)] ^= 1
    return np.packbits(places).view(np.uint64)


@pytest.mark.parametrize("seed", range(4))
def test_all_pairs_within_the_bound_and_no_other(seed: int) -> None:
    rng = np.random.default_rng(seed)
    roots = rng.integers(0, 2**63, (40, 4), dtype=np.uint64)
    rows = [roots, *([_flipped(rng, root, int(rng.integers(1, 14)))] for root in roots for _ in range(3))]
    hashes = np.unique(np.concatenate(rows), axis=0)
    distance = np.bitwise_count(hashes[:, None] ^ hashes[None]).sum(axis=2)
    expected = np.argwhere(np.triu(distance <= NEAR, k=1))
    assert len(expected) > 40
    assert near_pairs(hashes).tolist() == expected.tolist()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_rows(count: int) -> None:
    assert len(
        near_pairs(np.zeros((count, 4), dtype=np.uint64) + np.arange(count, dtype=np.uint64)[:, None] * 2**63)
    ) == (1 if count == 2 else 0)


@pytest.mark.parametrize("seed", range(5))
def test_a_photo_compressed_anew_or_scaled_is_its_near_copy(seed: int) -> None:
    photo = scene(seed, (300, 400))
    buffer = BytesIO()
    photo.resize((240, 320), Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=75)
    first, second = (np.frombuffer(perceptual_hash(one), np.uint64) for one in (photo, Image.open(buffer)))
    assert np.bitwise_count(first ^ second).sum() <= NEAR


def test_a_near_copy_under_another_name_shares_the_group(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "raw", [line(str(n), f"Name {n}") for n in range(4)], photos=[])
    (folder / "images").mkdir()
    for at, (seed, quality) in enumerate([(1, 95), (1, 70), (2, 95), (3, 95)]):
        scene(seed, (300, 400)).save(folder / "images" / f"{at}.jpg", quality=quality)
    found = catalog.build(open_source("myntra", folder), root=tmp_path)
    groups = [item.group_id for item in found.items]
    assert groups[0] == groups[1]
    assert len(set(groups)) == 3
    assert found.near_copies == 2
    assert len({item.image_sha256 for item in found.items}) == 4


def test_flat_photos_bind_nobody(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "raw", [line(str(n), f"Name {n}") for n in range(4)], photos=[])
    (folder / "images").mkdir()
    for at in range(4):
        Image.new("RGB", (60, 80), (255 - 9 * at,) * 3).save(folder / "images" / f"{at}.jpg")
    found = catalog.build(open_source("myntra", folder), root=tmp_path)
    assert len({item.group_id for item in found.items}) == 4


def test_a_group_that_swallows_the_catalogue_stops_the_run(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "raw", [line(str(n), "No name") for n in range(120)], photos=["0"])
    for at in range(1, 120):
        os.link(folder / "images" / "0.jpg", folder / "images" / f"{at}.jpg")
    found = catalog.build(open_source("myntra", folder), root=tmp_path)
    with pytest.raises(SanityError, match=r"far too many products.*120 of 120"):
        catalog.check(found, root=tmp_path, seed=1)


@pytest.mark.real_data
@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("FVREC_FULL"), reason="all photos of the real sets: set FVREC_FULL=1")
@pytest.mark.skipif(not (DATA / "myntra-small").is_dir(), reason="data/raw/myntra-small is not unpacked")
def test_on_the_real_set_groups_stay_small() -> None:
    raw = DATA / "myntra-small"
    found = catalog.build(open_source("myntra", raw), root=raw)
    catalog.check(found, root=raw, seed=7)
    assert 0.005 < found.near_copies / len(found.items) < 0.05
