"""Fit the last blocks of a Lite tower to a catalogue's own labels, before it is frozen for the VLM.

ImageNet's classes say little of seasons and uses. A few passes over the train split, one linear head a field on the
mean over the grid's cells, teach the last blocks to see them; the heads are dropped, the tower is kept, and everything
behind it (features, base, adapters) is made with it. The lower blocks stay as they are, so that what they make of every
photo and view is computed once and lies on disk while the upper ones learn.

Train alone is learned from, val decides which epoch is kept, test is never opened.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from transformers import get_cosine_schedule_with_warmup

from fvrec.artifacts import atomic_write, digest_file, digest_json, remove, remove_leftovers, staged
from fvrec.closure import code_digest
from fvrec.config import TowerTuning
from fvrec.errors import FvrecError
from fvrec.evaluation.scores import label
from fvrec.records import Item
from fvrec.schema import UNKNOWN, VALUES
from fvrec.vlm.features import photo_pixels, view_key
from fvrec.vlm.lite import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    TUNED_FILE,
    WIDTH,
    block_count,
    imagenet_file,
    lower_half,
    new_lite_network,
    upper_half,
    upper_modules,
)
from fvrec.vlm.published import VISION
from fvrec.vlm.towers import LITE_SIZES, accelerator, normalise, to_images

Progress = Callable[[Iterable[Any]], Iterable[Any]]
_NO_LABEL = -100  # cross_entropy's own mark
_READ = 64
_EPOCH_FILE = "epoch.pt"
_ABOUT_FILE = "tuning.json"
_GRADIENT_NORM = 5.0
_WARM_UP = 0.1
_MOMENTUM = 0.1
"""Of running means and variances. ImageNet's .01 would still be far behind after the few hundred steps taken here."""


@dataclass(frozen=True)
class LabelledPhotos:
    """What a tower is tuned on (train) and judged by (val). ``root``: what the items' photo paths lie below.

    Train teaches all values that the VLM is taught, those that a rule read from a title included; val is judged by the
    source's own labels alone, as everywhere.
    """

    train: Sequence[Item]
    val: Sequence[Item]
    root: Path
    fields: Sequence[str]

    def check(self) -> None:
        """FvrecError when one of both splits has no item with a label."""
        for name, rows in (("train", self.taught()), ("val", self.judged())):
            if not any(value != UNKNOWN for row in rows for value in row):
                raise FvrecError(f"the {name} split has no labelled photo to tune the tower with", found=len(rows))

    def taught(self) -> list[list[str]]:
        """Per train item the value of each field."""
        return [[item.values[field] for field in self.fields] for item in self.train]

    def judged(self) -> list[list[str]]:
        """Per val item the label of each field."""
        return [[label(item, field) for field in self.fields] for item in self.val]

    def codes(self, rows: Sequence[Sequence[str]]) -> dict[str, Tensor]:
        """field -> ``[N]``: the place of each value in the schema; -100 where it is unknown."""
        found = {}
        for column, field in enumerate(self.fields):
            places = {value: place for place, value in enumerate(VALUES[field])} | {UNKNOWN: _NO_LABEL}
            found[field] = torch.tensor([places[row[column]] for row in rows])
        return found


@dataclass(frozen=True)
class TuningEpoch:
    """One pass: mean loss on train; on val the share of right labels, over all fields and by field."""

    number: int
    loss: float
    accuracy: float
    by_field: Mapping[str, float]


@dataclass(frozen=True)
class TuningOutcome:
    """``best``: number of the epoch that was kept. ``resumed_from``: epochs that an interrupted run had done."""

    epochs: tuple[TuningEpoch, ...]
    best: int
    trainable_parameters: int
    resumed_from: int = 0


def tune_tower(
    name: str,
    photos: LabelledPhotos,
    plan: TowerTuning,
    *,
    seed: int,
    output: Path,
    work: Path,
    progress: Progress = iter,
    log: Callable[[Sequence[TuningEpoch]], None] = lambda _epochs: None,
) -> TuningOutcome:
    """Tune the Lite tower ``name``; ``output`` becomes a folder that ``load_tower`` takes as the weights of NAME-tuned.

    work: half-way maps and the newest epoch, so that a killed run goes on from there with the same result (on CPU, with
    as many threads); the caller removes it. log: is given all epochs so far after each. FvrecError when a split has no
    label, a photo cannot be read, or the loss is no number.
    """
    photos.check()
    tuning = _Tuning(name, photos, plan, seed, work)
    outcome = tuning.run(progress, log)
    vision = output / VISION
    vision.mkdir(parents=True, exist_ok=True)
    state = {key: value.detach().cpu().contiguous() for key, value in tuning.network.state_dict().items()}
    save_file(state, vision / TUNED_FILE)
    # Not what an interrupted run had done: the same tower is the same files.
    told = {"epochs": [asdict(epoch) for epoch in outcome.epochs], "best": outcome.best}
    about = {**described(name, photos, plan, seed), **told}
    atomic_write(vision / _ABOUT_FILE, json.dumps(about, indent=1) + "\n")
    return outcome


def described(name: str, photos: LabelledPhotos, plan: TowerTuning, seed: int) -> dict[str, Any]:
    """What a tuning is of, as JSON gives it back: tower, seed, plan, fields, and the photos with their labels."""
    told = {
        "tower": name,
        "seed": seed,
        "plan": asdict(plan),
        "fields": list(photos.fields),
        "train_sha256": digest_json([[item.image_sha256 for item in photos.train], photos.taught()]),
        "val_sha256": digest_json([[item.image_sha256 for item in photos.val], photos.judged()]),
    }
    found: dict[str, Any] = json.loads(json.dumps(told))
    return found


def read_description(weights: Path) -> dict[str, Any]:
    """``described`` of the tower in this folder. FvrecError when there is none."""
    file = weights / VISION / _ABOUT_FILE
    try:
        about: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return {name: value for name, value in about.items() if name not in ("epochs", "best")}
    except (OSError, ValueError) as error:
        raise FvrecError(f"no tuned tower there ({error})", where=file) from error


class _Tuning:
    """One tuning under way: the network, its heads, the half-way maps, and what has been learned so far."""

    def __init__(self, name: str, photos: LabelledPhotos, plan: TowerTuning, seed: int, work: Path) -> None:
        self.name, self.photos, self.plan, self.seed, self.work = name, photos, plan, seed, work
        self.size = LITE_SIZES[name].image_size
        self.device = accelerator()
        self.network = new_lite_network(name)
        if not 1 <= plan.blocks < block_count(self.network):
            raise FvrecError(
                "so many blocks cannot be tuned", found=plan.blocks, allowed=f"1 to {block_count(self.network) - 1}"
            )
        self.network.eval().requires_grad_(False).to(self.device)
        self.below = block_count(self.network) - plan.blocks
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.heads = nn.ModuleDict({field: nn.Linear(WIDTH, len(VALUES[field])) for field in photos.fields})
        self.heads.to(self.device)
        self.learning = nn.ModuleList([upper_modules(self.network, self.below), self.heads]).requires_grad_(True)
        self.labels, self.val_labels = photos.codes(photos.taught()), photos.codes(photos.judged())
        for module in self.learning.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = _MOMENTUM
        whole, scales = self._parameters()
        self.optimiser = torch.optim.AdamW(
            [{"params": whole, "weight_decay": plan.weight_decay}, {"params": scales, "weight_decay": 0.0}],
            lr=plan.learning_rate,
        )
        steps = -(-len(photos.train) // plan.batch_size) * plan.epochs
        self.schedule = get_cosine_schedule_with_warmup(self.optimiser, round(_WARM_UP * steps), steps)
        self.identity = digest_json([described(name, photos, plan, seed), digest_file(imagenet_file(name)), _code()])

    def _parameters(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Weights, which decay, and scales and offsets, which do not."""
        both = list(self.learning.parameters())
        return [one for one in both if one.ndim > 1], [one for one in both if one.ndim <= 1]

    def run(self, progress: Progress, log: Callable[[Sequence[TuningEpoch]], None]) -> TuningOutcome:
        """All epochs that are not done yet; the network is then that of the best one."""
        self._clear()
        maps = {view: self._maps(view, progress) for view in ("", *self.plan.views)}
        epochs, best = self._resume()
        found = len(epochs)
        for number in range(found + 1, self.plan.epochs + 1):
            loss = self._learn(number, maps, progress)
            epoch = self._judge(number, loss, maps[""])
            if best is None or epoch.accuracy > best[0]:
                best = (
                    epoch.accuracy,
                    number,
                    _copied(self.learning),
                )
            epochs.append(epoch)
            self._keep(epochs, best)
            log(epochs)
        if best is None:
            raise FvrecError("no epoch to tune the tower in", found=self.plan.epochs, allowed="1 or more")
        self.learning.load_state_dict(best[2])
        count = sum(one.numel() for one in self.learning.parameters())
        return TuningOutcome(tuple(epochs), best[1], count, found)

    def _learn(self, number: int, maps: Mapping[str, NDArray[np.float16]], progress: Progress) -> float:
        """One pass over train, each photo in one of its views; returns the mean loss."""
        plan = self.plan
        rng = np.random.default_rng([self.seed, number])
        order = rng.permutation(len(self.photos.train))
        drawn = rng.integers(len(maps), size=len(order))
        views = list(maps)
        self.learning.train()
        losses = []
        with torch.random.fork_rng():
            torch.manual_seed(int(rng.integers(2**31)))
            for start in progress(range(0, len(order), plan.batch_size)):
                rows = order[start : start + plan.batch_size]
                labels = {field: codes[rows] for field, codes in self.labels.items()}
                if not any((codes != _NO_LABEL).any() for codes in labels.values()):
                    self.schedule.step()
                    continue
                seen = np.stack([maps[views[drawn[row]]][row] for row in rows])
                loss = self._loss(self._logits(seen), labels)
                if not torch.isfinite(loss):
                    raise FvrecError(
                        "the loss is no number", where=f"tower tuning, epoch {number}", found=float(loss.detach())
                    )
                self.optimiser.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(self.learning.parameters(), _GRADIENT_NORM)
                self.optimiser.step()
                self.schedule.step()
                losses.append(float(loss.detach()))
        return float(np.mean(losses))

    def _logits(self, maps: NDArray[np.float16]) -> dict[str, Tensor]:
        plan, training = self.plan, self.learning.training
        below = torch.from_numpy(maps).to(self.device).float().contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device, dtype=torch.bfloat16):
            deep = upper_half(self.network, below, self.below, plan.drop_connect if training else 0.0)
        pooled = functional.dropout(deep.float().mean(dim=(2, 3)), plan.dropout, training)
        return {field: head(pooled) for field, head in self.heads.items()}

    def _loss(self, logits: Mapping[str, Tensor], labels: Mapping[str, Tensor]) -> Tensor:
        """Sum over the fields; one that no item of the batch has a label for says nothing."""
        parts = [
            functional.cross_entropy(
                logits[field], codes.to(self.device), ignore_index=_NO_LABEL, label_smoothing=self.plan.label_smoothing
            )
            for field, codes in labels.items()
            if (codes != _NO_LABEL).any()
        ]
        return torch.stack(parts).sum()

    @torch.inference_mode()
    def _judge(self, number: int, loss: float, photos: NDArray[np.float16]) -> TuningEpoch:
        self.learning.eval()
        right: dict[str, list[bool]] = {field: [] for field in self.val_labels}
        first = len(self.photos.train)  # val's photos stand behind train's
        for start in range(0, len(self.photos.val), _READ):
            logits = self._logits(np.array(photos[first + start : first + start + _READ]))
            for field, codes in self.val_labels.items():
                wanted = codes[start : start + _READ]
                known = wanted != _NO_LABEL
                right[field] += (logits[field].argmax(dim=1).cpu() == wanted)[known].tolist()
        together = [one for field in right.values() for one in field]
        by_field = {field: float(np.mean(found)) for field, found in right.items() if found}
        return TuningEpoch(number, loss, float(np.mean(together)), by_field)

    def _maps(self, view: str, progress: Progress) -> NDArray[np.float16]:
        """``[N, C, H, W]``: what the lower blocks make of train's photos in this view, and of val's as they are."""
        items = [*self.photos.train, *(() if view else self.photos.val)]
        file = self._map_file(view)
        if not file.exists():
            keys = [view_key(item.image_sha256, view) for item in items]
            images = {item.image_sha256: self.photos.root / item.image_path for item in items}
            # Written from front to back: a full disk is then an error, not a signal that ends the process.
            with staged(file) as temporary, temporary.open("wb") as out, ThreadPoolExecutor(os.cpu_count()) as pool:
                for start in progress(range(0, len(keys), _READ)):
                    part = keys[start : start + _READ]
                    made = self._lower(np.stack(list(pool.map(lambda key: photo_pixels(key, images, self.size), part))))
                    if start == 0:
                        shape = (len(keys), *made.shape[1:])
                        described = {"descr": made.dtype.str, "fortran_order": False, "shape": shape}
                        np.lib.format.write_array_header_2_0(out, described)
                    out.write(made.tobytes())
        found: NDArray[np.float16] = np.load(file, mmap_mode="r")
        return found

    def _map_file(self, view: str) -> Path:
        """Its name tells what the maps hang on: which photos, in which view, through which blocks."""
        photos = [item.image_sha256 for item in (*self.photos.train, *self.photos.val)]
        made = digest_json([self.below, digest_file(imagenet_file(self.name)), photos, _code()])
        return self.work / f"maps-{view or 'photo'}-{made[:16]}.npy"

    def _clear(self) -> None:
        """Away with the maps of another tuning, and with what a killed one was writing."""
        keep = {self._map_file(view) for view in ("", *self.plan.views)}
        for file in self.work.glob("maps-*.npy"):
            if file not in keep:
                remove(file)
        for place in (*keep, self.work / _EPOCH_FILE):
            remove_leftovers(place)

    @torch.inference_mode()
    def _lower(self, pixels: NDArray[np.uint8]) -> NDArray[np.float16]:
        images = to_images(pixels, self.size).to(self.device)
        ready = normalise(images, IMAGENET_MEAN, IMAGENET_STD).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device, dtype=torch.bfloat16):
            return lower_half(self.network, ready, self.below).float().half().cpu().numpy()

    def _keep(self, epochs: Sequence[TuningEpoch], best: tuple[float, int, dict[str, Tensor]]) -> None:
        state = {
            "identity": self.identity,
            "epochs": [asdict(epoch) for epoch in epochs],
            "best": best,
            "learning": self.learning.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
        }
        with staged(self.work / _EPOCH_FILE) as temporary:
            torch.save(state, temporary)

    def _resume(self) -> tuple[list[TuningEpoch], tuple[float, int, dict[str, Tensor]] | None]:
        """The epochs that an interrupted run of the same plan on the same photos has done; none otherwise."""
        file = self.work / _EPOCH_FILE
        state = torch.load(file, map_location="cpu", weights_only=True) if file.exists() else {}
        if state.get("identity") != self.identity:
            remove(file)
            return [], None
        self.learning.load_state_dict(state["learning"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        return [TuningEpoch(**epoch) for epoch in state["epochs"]], tuple(state["best"])


def _code() -> str:
    return code_digest(__name__)


def _copied(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}
