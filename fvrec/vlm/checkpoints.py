"""Where an interrupted training is taken up again: the trainer's checkpoints, each whole or ignored.

``FOLDER/run.json`` says which training they belong to; ``FOLDER/checkpoint-STEP/whole.json`` holds the digests of the
checkpoint's files and is written last, so that a save that was cut short is never taken for a checkpoint. The two
newest whole ones are kept, and the best one. None of it is part of the artifact.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fvrec.artifacts import atomic_write, digest_file, digest_json, remove

KEPT = 2
_RUN, _WHOLE = "run.json", "whole.json"


@dataclass(frozen=True)
class Checkpoint:
    """One whole checkpoint and the optimiser step it was made at."""

    path: Path
    step: int


@dataclass(frozen=True)
class CheckpointFolder:
    """The checkpoints of one training."""

    path: Path

    def open(self, identity: Mapping[str, Any]) -> Checkpoint | None:
        """The newest whole checkpoint of the training of that identity; None after clearing away those of any other."""
        digest = digest_json(identity)
        run = self.path / _RUN
        if not run.is_file() or json.loads(run.read_text()).get("identity") != digest:
            remove(self.path)
            atomic_write(run, json.dumps({"identity": digest, **identity}, indent=1, default=str) + "\n")
        for broken in set(self._folders()) - {checkpoint.path for checkpoint in self.whole()}:
            remove(broken)
        return next(iter(self.whole()), None)

    def seal(self, checkpoint: Path) -> None:
        """Say that a checkpoint is whole: call it when all its files are in place."""
        files = sorted(file for file in checkpoint.iterdir() if file.is_file() and file.name != _WHOLE)
        atomic_write(checkpoint / _WHOLE, json.dumps({file.name: digest_file(file) for file in files}, indent=1) + "\n")

    def whole(self) -> list[Checkpoint]:
        """Those whose files are what they were when they were sealed, newest first."""
        found = (Checkpoint(folder, _step(folder)) for folder in self._folders() if _is_whole(folder))
        return sorted(found, key=lambda checkpoint: -checkpoint.step)

    def prune(self, best_step: int | None) -> None:
        """Keep the newest ones and the best one. Only sealed ones count: an unsealed one may be in the making."""
        sealed = sorted((folder for folder in self._folders() if (folder / _WHOLE).exists()), key=_step, reverse=True)
        for folder in sealed[KEPT:]:
            if _step(folder) != best_step:
                remove(folder)

    def at(self, step: int) -> Path:
        return self.path / f"checkpoint-{step}"

    def _folders(self) -> list[Path]:
        return [path for path in self.path.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]


def _step(folder: Path) -> int:
    return int(folder.name.rpartition("-")[2])


def _is_whole(folder: Path) -> bool:
    try:
        digests = json.loads((folder / _WHOLE).read_text())
    except (OSError, ValueError):
        return False
    return all((folder / name).is_file() and digest_file(folder / name) == found for name, found in digests.items())
