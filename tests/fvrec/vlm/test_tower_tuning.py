"""A tower fitted to a catalogue: what learns and what stays, taking it up again, and what is refused."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from fvrec.artifacts import digest_tree
from fvrec.config import TUNABLE, Settings, TowerTuning, get_preset
from fvrec.errors import FvrecError
from fvrec.records import Item
from fvrec.schema import UNKNOWN
from fvrec.vlm.lite import TUNED_FILE, lite_network, lower_half, new_lite_network, upper_half
from fvrec.vlm.published import VISION
from fvrec.vlm.tower_tuning import LabelledPhotos, TuningEpoch, TuningOutcome, described, read_description, tune_tower
from fvrec.vlm.towers import LITE_SIZES, load_tower
from tests.fvrec.vlm.conftest import make_item

PLAN = TowerTuning(epochs=6, batch_size=8, views=("flip",))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> LabelledPhotos:
    folder = tmp_path_factory.mktemp("photos")
    train = [make_item(folder, number) for number in range(24)]
    val = [make_item(folder, number, "val") for number in range(24, 33)]
    return LabelledPhotos(train, val, Path("/"), ("category", "color"))


@pytest.fixture(scope="module")
def tuned(photos: LabelledPhotos, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TuningOutcome]:
    folder = tmp_path_factory.mktemp("tuned")
    return folder / "tower", _tune(photos, folder)


def _tune(photos: LabelledPhotos, folder: Path, plan: TowerTuning = PLAN, **more: object) -> TuningOutcome:
    settings = {"seed": 7, "output": folder / "tower", "work": folder / "work"} | more
    return tune_tower("lite0", photos, plan, **settings)  # type: ignore[arg-type]


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / VISION / TUNED_FILE)


@pytest.mark.parametrize("blocks", [1, 5, 15])
def test_the_two_halves_are_the_whole(blocks: int) -> None:
    network, _ = lite_network("lite0", "cpu")
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        whole = network.extract_features(images)
        halves = upper_half(network, lower_half(network, images, blocks), blocks)
    assert torch.equal(whole, halves)


def test_val_is_read_better_and_the_best_epoch_is_kept(tuned: tuple[Path, TuningOutcome]) -> None:
    outcome = tuned[1]
    accuracies = [epoch.accuracy for epoch in outcome.epochs]
    assert outcome.epochs[-1].loss < outcome.epochs[0].loss
    assert accuracies[outcome.best - 1] == max(accuracies) > 0.9  # three values, equally frequent: 1/3 by chance
    assert set(outcome.epochs[0].by_field) == {"category", "color"}


def test_the_blocks_below_stay_what_imagenet_made_them(tuned: tuple[Path, TuningOutcome]) -> None:
    before, after = new_lite_network("lite0").state_dict(), _weights(tuned[0])
    assert set(before) == set(after)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    learning = (*(f"_blocks.{number}." for number in range(11, 16)), "_conv_head", "_bn1")
    assert all(name.startswith(learning) for name in changed)
    assert {"_conv_head.weight", "_blocks.11._expand_conv.weight", "_blocks.15._bn2.running_mean"} <= changed


def test_a_tuned_tower_sees_otherwise_and_the_same_colours(tuned: tuple[Path, TuningOutcome]) -> None:
    plain, fitted = load_tower("lite0", pool=4), load_tower("lite0-tuned", pool=4, weights=tuned[0])
    pixels = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    one, other = plain.encode(pixels), fitted.encode(pixels)
    deep = plain.streams[0]
    assert (fitted.tokens, fitted.streams) == (plain.tokens, plain.streams)
    assert fitted.digest != plain.digest
    assert re.fullmatch("lite0-tuned-[0-9a-f]{8}", fitted.name)
    assert load_tower(fitted.name, pool=4, weights=tuned[0]).digest == fitted.digest
    with pytest.raises(FvrecError, match="tuned again: this was made with another one"):
        load_tower("lite0-tuned-00000000", weights=tuned[0])
    assert np.array_equal(one[:, :, deep:], other[:, :, deep:])
    assert not np.allclose(one[:, :, :deep], other[:, :, :deep], atol=0.01)


class KilledError(Exception):
    pass


def test_a_killed_tuning_goes_on_to_the_same_weights(
    photos: LabelledPhotos, tuned: tuple[Path, TuningOutcome], tmp_path: Path
) -> None:
    def kill(epochs: Sequence[TuningEpoch]) -> None:
        if len(epochs) == 2:
            raise KilledError

    with pytest.raises(KilledError):
        _tune(photos, tmp_path, log=kill)
    assert not (tmp_path / "tower").exists()
    outcome = _tune(photos, tmp_path)
    assert outcome.resumed_from == 2
    assert outcome.epochs == tuned[1].epochs
    assert digest_tree(tmp_path / "tower") == digest_tree(tuned[0])


def test_another_plan_does_not_go_on_where_this_one_was(photos: LabelledPhotos, tmp_path: Path) -> None:
    _tune(photos, tmp_path, replace(PLAN, epochs=1))
    assert _tune(photos, tmp_path, replace(PLAN, epochs=1)).resumed_from == 1
    assert _tune(photos, tmp_path, replace(PLAN, epochs=1, dropout=0.3)).resumed_from == 0
    assert _tune(photos, tmp_path, replace(PLAN, epochs=1), seed=8).resumed_from == 0
    assert len(list((tmp_path / "work").glob("maps-*"))) == 2  # photos and mirror images hang on no plan
    assert _tune(photos, tmp_path, replace(PLAN, epochs=1, views=()), seed=8).resumed_from == 0
    assert len(list((tmp_path / "work").glob("maps-*"))) == 1


def test_other_labels_on_val_do_not_go_on_where_these_were(photos: LabelledPhotos, tmp_path: Path) -> None:
    _tune(photos, tmp_path, replace(PLAN, epochs=1))
    first = photos.val[0]
    wrong = {**first.attributes, "color": replace(first.attributes["color"], value="green")}
    other = replace(photos, val=[replace(first, attributes=wrong), *photos.val[1:]])
    assert _tune(other, tmp_path, replace(PLAN, epochs=1)).resumed_from == 0


def test_val_is_judged_by_the_source_s_labels_alone(photos: LabelledPhotos) -> None:
    first = photos.val[0]
    guessed = {**first.attributes, "color": replace(first.attributes["color"], origin="rule")}
    some = replace(photos, val=[replace(first, attributes=guessed)])
    assert some.judged() == [[first.values["category"], UNKNOWN]]
    assert replace(some, train=some.val).taught() == [[first.values["category"], first.values["color"]]]


def bare(item: Item) -> Item:
    return replace(item, attributes={name: replace(one, value=UNKNOWN) for name, one in item.attributes.items()})


def test_a_batch_without_a_label_changes_nothing(photos: LabelledPhotos, tmp_path: Path) -> None:
    plan = replace(PLAN, epochs=1, views=(), batch_size=1, dropout=0.0, drop_connect=0.0)
    start = {value.item() for name, value in new_lite_network("lite0").state_dict().items() if "num_batches" in name}
    # One labelled photo among eleven without: as many changes as if it were alone, which batch normalisation counts.
    mixed = replace(photos, train=[photos.train[0], *map(bare, photos.train[1:12])])
    _tune(mixed, tmp_path / "many", plan)
    counted = {value.item() for name, value in _weights(tmp_path / "many" / "tower").items() if "num_batches" in name}
    assert counted - start == {value + 1 for value in start}


def test_a_split_without_any_label_is_refused(photos: LabelledPhotos, tmp_path: Path) -> None:
    with pytest.raises(FvrecError, match="the val split has no labelled photo"):
        _tune(replace(photos, val=[bare(item) for item in photos.val]), tmp_path)
    with pytest.raises(FvrecError, match="the train split has no labelled photo"):
        _tune(replace(photos, train=[]), tmp_path)


def test_a_loss_that_is_no_number_ends_it(photos: LabelledPhotos, tmp_path: Path) -> None:
    with pytest.raises(FvrecError, match="the loss is no number"):
        _tune(photos, tmp_path, replace(PLAN, learning_rate=float("inf")))
    assert not (tmp_path / "tower").exists()


@pytest.mark.parametrize("blocks", [0, 16])
def test_so_many_blocks_cannot_be_tuned(photos: LabelledPhotos, tmp_path: Path, blocks: int) -> None:
    with pytest.raises(FvrecError, match="1 to 15"):
        _tune(photos, tmp_path, replace(PLAN, blocks=blocks))


def test_a_changed_photo_is_not_learned_from(photos: LabelledPhotos, tmp_path: Path) -> None:
    other = replace(photos.train[0], image_sha256="0" * 64)
    with pytest.raises(FvrecError, match="photo changed since ingest"):
        _tune(replace(photos, train=[other, *photos.train[1:]]), tmp_path)


def test_a_tower_tells_how_and_on_what_it_was_tuned(photos: LabelledPhotos, tuned: tuple[Path, TuningOutcome]) -> None:
    assert read_description(tuned[0]) == described("lite0", photos, PLAN, 7)
    for other in (replace(photos, train=photos.train[1:]), replace(photos, val=photos.val[1:])):
        assert read_description(tuned[0]) != described("lite0", other, PLAN, 7)
    told = json.loads((tuned[0] / VISION / "tuning.json").read_text())
    assert told["best"] == tuned[1].best


def test_a_full_disk_is_an_error_and_leaves_no_maps(
    photos: LabelledPhotos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_file: object, _header: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array_header_2_0", full)
    with pytest.raises(OSError, match="No space left"):
        _tune(photos, tmp_path)
    assert list((tmp_path / "work").iterdir()) == []


def test_a_tower_that_is_not_there_or_not_whole_is_refused(tuned: tuple[Path, TuningOutcome], tmp_path: Path) -> None:
    for weights in (None, tmp_path):
        with pytest.raises(FvrecError, match="there is no tuned tower"):
            load_tower("lite0-tuned", weights=weights)
    with pytest.raises(FvrecError, match="no tuned tower there"):
        read_description(tmp_path)
    state = _weights(tuned[0])
    state.pop("_conv_head.weight")
    (tmp_path / VISION).mkdir()
    save_file(state, tmp_path / VISION / TUNED_FILE)
    with pytest.raises(FvrecError, match="_conv_head"):
        load_tower("lite0-tuned", weights=tmp_path)
    whole = (tuned[0] / VISION / TUNED_FILE).read_bytes()
    (tmp_path / VISION / TUNED_FILE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FvrecError, match="do not fit"):
        load_tower("lite0-tuned", weights=tmp_path)


def test_who_asks_gets_a_tuned_tower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FVREC_TUNE_TOWER", "")
    assert set(TUNABLE) == set(LITE_SIZES)
    assert Settings(root=tmp_path).budget.tower_name == "lite0"
    asked = Settings(root=tmp_path, tune_tower=True).budget
    assert asked.tower_name == "lite0-tuned"
    assert asked.tuning == TowerTuning()
    monkeypatch.setenv("FVREC_TUNE_TOWER", "1")
    assert Settings(root=tmp_path).budget == asked
    assert Settings(root=tmp_path).tower_weights("lite0-tuned-01234567") == tmp_path / "outputs/models/tower"
    with pytest.raises(FvrecError, match="cannot be tuned"):
        _ = Settings(root=tmp_path, preset="minimind-v", tune_tower=True).budget
    with pytest.raises(FvrecError, match="cannot be tuned"):
        get_preset("minimind-3v").tuned()
