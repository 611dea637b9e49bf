"""Where the parts of an extraction model lie: in a run's ``outputs``, or together in one exported folder.

A bundle is a folder with ``base/``, ``tokenizer/``, mostly ``adapter/``, perhaps ``calibration.json``, ``vision/`` for
a tower whose weights are in no package, and ``bundle.json``: the model's name, its length limit, and the SHA-256 of
every file, so that nothing in it is altered or gone unnoticed.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from fvrec.artifacts import atomic_write, digest_file, staged
from fvrec.config import Preset, Settings
from fvrec.errors import FvrecError
from fvrec.vlm.published import VISION
from fvrec.vlm.weights import BASE_FILE

BUNDLE_FILE = "bundle.json"
CALIBRATION_FILE = "calibration.json"
"""In a bundle, when confidences were calibrated. In a run's ``outputs`` it is ``calibration/<model folder>.json``:
the folder of an adapter is whole when its training ends, and val is read with it only then."""
_VERSION = 1
_WANTED = "an adapter of the sft or lora stage, the base beside its tokenizer, or an exported bundle"


@dataclass(frozen=True)
class ModelFiles:
    """The parts of one model. ``name``: ``base``, ``sft``, ``lora``; ``adapter`` and ``calibration`` may be absent."""

    name: str
    base: Path
    tokenizer: Path
    adapter: Path | None
    calibration: Path | None = None
    max_length: int = Preset.max_length


def locate(path: Path) -> ModelFiles:
    """The parts that belong to a folder: a bundle, an adapter in ``outputs/adapters``, or ``outputs/models/base``.

    FvrecError when it is none of these, a part is gone, or a bundle's file is not what was exported.
    """
    if (path / BUNDLE_FILE).is_file():
        return _open_bundle(path)
    if (path / BASE_FILE).is_file():
        models = path.resolve().parent.parent / "models"
        name = "lora" if (path / "adapter_config.json").is_file() else "sft"
        return _checked(ModelFiles(name, models / "base", models / "tokenizer", path, _if_there(path)))
    if (path / "config.json").is_file():
        return _checked(ModelFiles("base", path, path.resolve().parent / "tokenizer", None, _if_there(path)))
    raise FvrecError("no extraction model there", where=path, allowed=_WANTED)


def export_bundle(path: Path, output: Path) -> Path:
    """Copy what ``locate`` finds into one folder that can be carried elsewhere; an older one there is replaced."""
    files = locate(path)
    with staged(output) as folder:
        folder.mkdir(parents=True)
        shutil.copytree(files.base, folder / "base")
        shutil.copytree(files.tokenizer, folder / "tokenizer")
        if files.adapter is not None:
            shutil.copytree(files.adapter, folder / "adapter", ignore=shutil.ignore_patterns(CALIBRATION_FILE))
        if files.calibration is not None:
            shutil.copyfile(files.calibration, folder / CALIBRATION_FILE)
        vision = _vision(files)
        if vision is not None:
            shutil.copytree(vision, folder / VISION)
        described = {"version": _VERSION, "name": files.name, "max_length": files.max_length, "files": _digests(folder)}
        atomic_write(folder / BUNDLE_FILE, json.dumps(described, indent=1, sort_keys=True) + "\n")
    return output


def tower_weights(files: ModelFiles, tower: str) -> Path | None:
    """The folder that holds the weights of a model's tower: the bundle itself, or what the run's settings name.

    None for a tower whose weights come in a package.
    """
    place = files.base.resolve().parent
    if (place / VISION).is_dir():
        return place
    return Settings(root=place.parent.parent).tower_weights(tower)


def _vision(files: ModelFiles) -> Path | None:
    tower = json.loads((files.base / "config.json").read_text(encoding="utf-8")).get("tower", "")
    weights = tower_weights(files, str(tower))
    return None if weights is None or not (weights / VISION).is_dir() else weights / VISION


def _open_bundle(path: Path) -> ModelFiles:
    try:
        described = json.loads((path / BUNDLE_FILE).read_text(encoding="utf-8"))
        version, name, files = described["version"], str(described["name"]), dict(described["files"])
        max_length = int(described["max_length"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FvrecError(f"damaged bundle ({error})", where=path / BUNDLE_FILE) from error
    if version != _VERSION:
        raise FvrecError("a bundle of another version", where=path, found=version, allowed=str(_VERSION))
    found = _digests(path)
    wrong = sorted(file for file in {*files, *found} if files.get(file) != found.get(file))
    if wrong:
        raise FvrecError("the bundle is not what was exported: files altered, gone or added", where=path, found=wrong)
    adapter = path / "adapter"
    return _checked(
        ModelFiles(
            name, path / "base", path / "tokenizer", adapter if adapter.is_dir() else None, _if_there(path), max_length
        )
    )


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file != folder / BUNDLE_FILE)
    return {file.relative_to(folder).as_posix(): digest_file(file) for file in files}


def _if_there(folder: Path) -> Path | None:
    outputs = folder.resolve().parent.parent
    places = (folder / CALIBRATION_FILE, outputs / "calibration" / f"{folder.resolve().name}.json")
    return next((file for file in places if file.is_file()), None)


def _checked(files: ModelFiles) -> ModelFiles:
    for part, place in (("base", files.base), ("tokenizer", files.tokenizer)):
        if not place.is_dir():
            raise FvrecError(f"the model's {part} is not where it belongs", where=place, allowed=_WANTED)
    return files
