from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fvrec.errors import FvrecError
from fvrec.records import Item
from fvrec.vlm.features import FeatureCache
from fvrec.vlm.pixels import load_pixels
from fvrec.vlm.towers import load_tower

TOWER = load_tower("lite0")


def flat(colour: tuple[int, int, int]) -> np.ndarray:
    return np.full((224, 224, 3), colour, dtype=np.uint8)


def test_shape_and_colour_stream() -> None:
    features = TOWER.encode(np.stack([flat((255, 0, 0)), flat((0, 0, 0))]))
    assert features.shape == (2, 51, 1792)
    cells = features[:, :49]
    patches = cells[:, :, 1280:1472].reshape(2, 49, 3, 64)
    assert np.all(patches[0, :, 0] == 1)
    assert np.all(patches[0, :, 1:] == -1)
    assert np.all(patches[1] == -1)
    histogram = cells[:, :, 1472:1536]
    assert np.all(histogram.sum(axis=2) == 1)
    assert np.all(histogram[0, :, 3 * 16] == 1)  # red: highest of four levels, no green, no blue
    assert np.all(histogram[1, :, 0] == 1)


def test_the_last_tokens_sum_the_photo_up() -> None:
    pixels = flat((255, 255, 255))
    pixels[:112] = (255, 0, 0)
    pixels[112:168] = (0, 0, 255)
    *cells, whole, greatest = TOWER.encode(pixels[None])[0].astype(np.float32)
    np.testing.assert_allclose(whole[:1536], np.mean(cells, axis=0)[:1536], atol=2e-2)
    np.testing.assert_allclose(greatest[:1280], np.max(cells, axis=0)[:1280], atol=1e-3)
    assert not np.any(np.stack([*cells, greatest])[:, 1536:])
    assert not np.any(greatest[1280:])
    rgb, hsv = whole[1536:1600] ** 2, whole[1600:] ** 2
    # White is background: two thirds of what is left are red, one third is blue.
    np.testing.assert_allclose([rgb[3 * 16], rgb[3], rgb.sum()], [2 / 3, 1 / 3, 1], atol=2e-3)
    np.testing.assert_allclose([hsv[0 * 16 + 15], hsv[8 * 16 + 15], hsv.sum()], [2 / 3, 1 / 3, 1], atol=2e-3)


def test_a_white_photo_has_no_colours() -> None:
    assert not np.any(TOWER.encode(flat((255, 255, 255))[None])[0, -2, 1536:])


def test_cells_lie_where_the_picture_says() -> None:
    pixels = flat((0, 0, 0))
    pixels[:32, -32:] = 255  # the cell at the top right: row 0, column 6
    patches = TOWER.encode(pixels[None])[0, :49, 1280:1472]
    assert [index for index, patch in enumerate(patches) if patch.max() > 0] == [6]


def test_encoding_alone_or_in_a_batch_gives_the_same() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (3, 224, 224, 3), dtype=np.uint8)
    together = TOWER.encode(pixels).astype(np.float32)
    alone = np.concatenate([TOWER.encode(one[None]) for one in pixels]).astype(np.float32)
    np.testing.assert_allclose(together, alone, atol=0.05)


def test_wrong_shape_is_refused() -> None:
    with pytest.raises(FvrecError, match="wrong shape"):
        TOWER.encode(np.zeros((1, 100, 100, 3), dtype=np.uint8))


def test_unknown_tower_names_the_allowed() -> None:
    with pytest.raises(FvrecError, match="lite0"):
        load_tower("resnet")


def test_images_are_encoded_once(items: list[Item], tmp_path: Path) -> None:
    files = {item.image_sha256: Path(item.image_path) for item in items[:5]}
    assert FeatureCache(tmp_path, TOWER).ensure(files) == 5
    more = {item.image_sha256: Path(item.image_path) for item in items[:7]}
    again = FeatureCache(tmp_path, TOWER)
    assert again.ensure(more) == 2
    order = [item.image_sha256 for item in items[6::-1]]
    expected = TOWER.encode(np.stack([load_pixels(more[sha], 224) for sha in order]))
    np.testing.assert_allclose(FeatureCache(tmp_path, TOWER).rows(order), expected, atol=0.05)


def test_an_interrupted_shard_is_made_again(items: list[Item], tmp_path: Path) -> None:
    files = {item.image_sha256: Path(item.image_path) for item in items[:4]}
    cache = FeatureCache(tmp_path, TOWER)
    cache.ensure(files)
    next(cache.directory.glob("shard-*.json")).unlink()
    assert FeatureCache(tmp_path, TOWER).ensure(files) == 4


def test_a_damaged_shard_is_refused(items: list[Item], tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, TOWER)
    cache.ensure({items[0].image_sha256: Path(items[0].image_path)})
    next(cache.directory.glob("shard-*.json")).write_text('["a", "b"]')
    with pytest.raises(FvrecError, match="damaged feature cache"):
        FeatureCache(tmp_path, TOWER)


def test_a_shard_that_lost_its_index_takes_no_other_with_it(items: list[Item], tmp_path: Path) -> None:
    files = {item.image_sha256: Path(item.image_path) for item in items[:3]}
    for sha256, path in files.items():
        FeatureCache(tmp_path, TOWER).ensure({sha256: path})
    cache = FeatureCache(tmp_path, TOWER)
    before = cache.rows(list(files))
    lost, kept = sorted(cache.directory.glob("shard-*.json"))[0], sorted(cache.directory.glob("shard-*.json"))[1:]
    lost.unlink()
    again = FeatureCache(tmp_path, TOWER)
    assert again.ensure(files) == 1
    assert all(file.exists() for file in kept)
    np.testing.assert_array_equal(FeatureCache(tmp_path, TOWER).rows(list(files)), before)


def test_two_writers_do_not_overwrite_each_other(items: list[Item], tmp_path: Path) -> None:
    one, other = FeatureCache(tmp_path, TOWER), FeatureCache(tmp_path, TOWER)
    first, second = ({item.image_sha256: Path(item.image_path) for item in part} for part in (items[:3], items[3:7]))
    assert one.ensure(first) == 3
    assert other.ensure(second) == 4
    together = FeatureCache(tmp_path, TOWER)
    np.testing.assert_array_equal(together.rows(list(first)), one.rows(list(first)))
    np.testing.assert_array_equal(together.rows(list(second)), other.rows(list(second)))


def test_a_photo_that_changed_since_ingest_is_refused(items: list[Item], tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(Path(items[0].image_path).read_bytes())
    cache = FeatureCache(tmp_path / "cache", TOWER)
    assert cache.ensure({items[0].image_sha256: photo}) == 1
    photo.write_bytes(Path(items[1].image_path).read_bytes())
    with pytest.raises(FvrecError, match=r"photo changed since ingest.*photo\.png"):
        cache.ensure({items[2].image_sha256: photo})
    photo.unlink()
    with pytest.raises(FvrecError, match="photo cannot be read"):
        cache.ensure({items[2].image_sha256: photo})
    assert items[2].image_sha256 not in FeatureCache(tmp_path / "cache", TOWER)


def test_an_image_never_encoded_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FvrecError, match="no cached features"):
        FeatureCache(tmp_path, TOWER).rows(["absent"])


def test_embeddings_have_length_one(cache: FeatureCache, items: list[Item]) -> None:
    vectors = cache.embeddings([item.image_sha256 for item in items])
    assert vectors.shape == (len(items), 1280)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_transparency_becomes_white_and_the_photo_is_not_stretched() -> None:
    buffer = io.BytesIO()
    Image.new("RGBA", (10, 20), (0, 0, 0, 0)).save(buffer, "PNG")
    assert load_pixels(buffer, 224).min() == 255
    tall = io.BytesIO()
    Image.new("RGB", (10, 20), (0, 0, 0)).save(tall, "PNG")
    pixels = load_pixels(tall, 224)
    assert pixels[112, 112].max() == 0
    assert pixels[112, 0].min() == 255


def test_half_a_jpeg_is_unreadable() -> None:
    buffer = io.BytesIO()
    Image.effect_noise((200, 200), 50).save(buffer, "JPEG")
    with pytest.raises(FvrecError, match="cannot be read"):
        load_pixels(io.BytesIO(buffer.getvalue()[: len(buffer.getvalue()) // 2]), 224)
