"""Evidence points where the information is: on a scorer that looks at one cell, and on a model that learned patches."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fvrec.errors import FvrecError
from fvrec.records import AttributeValue, Item
from fvrec.schema import FIELDS, UNKNOWN
from fvrec.vlm.collate import Encoder, TrainingCollator
from fvrec.vlm.evidence import as_evidence, evidence, occlusion_drops
from fvrec.vlm.extract import Extractor
from fvrec.vlm.features import FeatureCache
from fvrec.vlm.model import new_model
from fvrec.vlm.overlay import overlay
from fvrec.vlm.samples import sft_samples
from fvrec.vlm.tokenizer import IMAGE_TOKEN, token_id, train_tokenizer
from fvrec.vlm.towers import load_tower
from fvrec.vlm.train import TrainingPlan, run_training

from .conftest import COLOURS, SIZE

CELL = 32
PATCH = 2 * CELL


def darkness(photos: np.ndarray) -> np.ndarray:
    return (255 - photos.astype(float)).mean(axis=(1, 2, 3))


def test_the_one_window_that_counts_is_found() -> None:
    photo = np.full((56, 56, 3), 255, dtype=np.uint8)
    photo[16:24, 24:32] = 55  # row 2, column 3 of 7 x 7 windows
    found = as_evidence("color", "red", occlusion_drops(photo, darkness))
    assert int(found.map.argmax()) == 2 * 7 + 3
    assert found.map.max() == 1.0
    around = found.map.copy()
    around[1:4, 2:5] = 0
    assert not around.any()  # a window hides half of its neighbours, and nothing beyond
    assert found.map[2, 2] == pytest.approx(0.5)
    assert found.map[1, 2] == pytest.approx(0.25)
    assert found.drop == pytest.approx(200 * 64 / 56**2)


@pytest.mark.parametrize("size", [224, 260, 256])
def test_every_pixel_is_hidden_and_each_window_is_two_wide(size: int) -> None:
    hidden = np.zeros((size, size), dtype=int)

    def look(photos: np.ndarray) -> np.ndarray:
        hidden[:] = (photos[1:, ..., 0] == 255).sum(axis=0)
        return -(photos[..., 0] == 255).sum(axis=(1, 2)).astype(float)

    drops = occlusion_drops(np.zeros((size, size, 3), dtype=np.uint8), look).reshape(7, 7)
    assert hidden.min() >= 1
    assert drops[1:-1, 1:-1].min() >= (2 * size / 7 - 1) ** 2
    assert drops.max() <= (2 * size / 7 + 1) ** 2


def test_what_speaks_against_the_value_is_no_evidence() -> None:
    nothing = as_evidence("color", "red", np.array([-0.5, -0.1, -2.0, 0.0]))
    assert nothing.map.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert nothing.drop == 0.0


def test_no_grid_no_map() -> None:
    with pytest.raises(FvrecError, match="square grid"):
        as_evidence("color", "red", np.zeros(50))
    with pytest.raises(FvrecError, match="window by window"):
        occlusion_drops(np.zeros((4, 4, 3), dtype=np.uint8), lambda photos: np.zeros(len(photos)))


def test_an_overlay_glows_where_the_map_does() -> None:
    glowing = np.zeros((7, 7))
    glowing[0, 6] = 1.0
    made = np.asarray(overlay(Image.new("RGB", (100, 100), (120, 120, 120)), glowing)).astype(int)
    redness = made[..., 0] - made[..., 1]
    assert made.shape == (224, 224, 3)
    assert redness[5:25, 200:220].min() > 60
    assert abs(redness[150:, :100]).max() < 5


def patch_image(colour: str, row: int, column: int) -> Image.Image:
    """A coloured square of two by two cells on white."""
    image = Image.new("RGB", (224, 224), "white")
    image.paste(COLOURS[colour], (column * CELL, row * CELL, column * CELL + PATCH, row * CELL + PATCH))
    return image


def patch_item(folder: Path, number: int) -> Item:
    rng = np.random.default_rng(number)
    colour = list(COLOURS)[number % 3]
    path = folder / f"{number}.png"
    patch_image(colour, int(rng.integers(0, 6)), int(rng.integers(0, 6))).save(path)
    attributes = {field: AttributeValue(UNKNOWN, "unknown") for field in FIELDS}
    attributes["color"] = AttributeValue(colour, "source")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Item(str(number), "toy", str(number), "train", str(path), digest, "thing", "", {}, attributes)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Extractor:
    """A model that learned to name the colour of a patch wherever it lies."""
    folder = tmp_path_factory.mktemp("patches")
    items = [patch_item(folder, number) for number in range(48)]
    cache = FeatureCache(folder / "features", load_tower("lite0"))
    cache.ensure({item.image_sha256: Path(item.image_path) for item in items})
    encoder = Encoder(
        train_tokenizer(["thing"], vocabulary=SIZE.bpe_vocabulary),
        visual_positions=load_tower("lite0").tokens,
        max_length=256,
    )
    model = new_model(
        SIZE,
        cache.tower,
        vocabulary=len(encoder.tokenizer),
        image_token_id=token_id(encoder.tokenizer, IMAGE_TOKEN),
        seed=3,
    )
    plan = TrainingPlan("pretrain", epochs=48, batch_size=8, learning_rate=3e-3, seed=1)
    collator = TrainingCollator(encoder, cache)
    samples = sft_samples(items, ("image",)).samples
    run_training(model, samples, collator, plan, output=folder / "m", log_file=folder / "log", show_progress=False)
    return Extractor("base", model.eval(), encoder)


def test_the_map_lies_on_the_patch_that_the_model_reads(reader: Extractor) -> None:
    rng = np.random.default_rng(11)
    shares = []
    for number in range(15):
        colour = list(COLOURS)[number % 3]
        row, column = (int(place) for place in rng.integers(0, 6, 2))
        found = evidence(reader, patch_image(colour, row, column), "color")
        assert found.value == colour
        assert found.map.shape == (7, 7)
        total = found.map.sum()  # 0 where a quarter of the patch does without any of its windows
        shares.append(found.map[row : row + 2, column : column + 2].sum() / total if total else 0.0)
    # 4 windows of 49: by chance .08.
    assert np.mean(shares) > 0.6
    assert np.mean(np.array(shares) > 0.3) > 0.8


def test_an_unknown_field_and_a_broken_photo_are_errors(reader: Extractor) -> None:
    with pytest.raises(FvrecError, match="no such field"):
        evidence(reader, patch_image("red", 0, 0), "colour")
    with pytest.raises(FvrecError, match="image_unreadable"):
        evidence(reader, b"no photo", "color")
