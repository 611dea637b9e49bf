"""The pipeline as a process that counts its own changes to files, and may be told to die before one of them.

``python -m tests.faults.mortal`` takes the options of ``python -m flows.pipeline``. The environment variable
``FVREC_FAULT`` holds JSON: ``root``; ``stage`` whose changes count, from its first; ``step``: kill before the change
of that number (0: never); ``alone``: kill this process only, not its group; ``begun``: file that is made when the
stage begins; ``counts``: file for the number of changes of every stage, written at the end; ``stages``: run these
alone (those that train nothing take seconds).

Changes are Python's audit events below the root. What DuckDB and safetensors write is not among them: for these the
driver kills by the clock.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_NAMES = {
    "os.rename": 1,
    "os.remove": 0,
    "os.mkdir": 0,
    "os.rmdir": 0,
    "os.symlink": 1,
    "os.chmod": 0,
    "shutil.rmtree": 0,
}
"""Audit event -> which argument names what is changed."""
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Watch:
    """Listens to the changes below a root; which stage is under way is told by the removal of its old manifest."""

    def __init__(self, order: dict[str, Any]) -> None:
        root = Path(order["root"]).resolve()
        self._root, self._prefect = f"{root}{os.sep}", f"{root / '.prefect'}{os.sep}"
        self._manifests = f"{root / 'outputs' / 'manifests'}{os.sep}"
        self._stage, self._step = order.get("stage", ""), order.get("step", 0)
        self._alone, self._begun = order.get("alone", False), order.get("begun", "")
        self._armed, self._counted, self._now = False, 0, ""
        self.counts: Counter[str] = Counter()

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        path = self._changed(event, arguments)
        if not path:
            return
        if event == "os.remove" and path.startswith(self._manifests) and path.endswith(".json"):
            self._begin(Path(path).stem)
        self.counts[self._now] += 1
        self._counted += self._armed
        if self._armed and self._counted == self._step:
            self._die()

    def _changed(self, event: str, arguments: tuple[object, ...]) -> str:
        """The path below the root that the event changes; empty for any other event."""
        if event == "open":
            writes = isinstance(arguments[2], int) and arguments[2] & _WRITES
            name = arguments[0] if writes else None
        else:
            name = arguments[_NAMES[event]] if event in _NAMES else None
        if not isinstance(name, str | bytes | os.PathLike):
            return ""
        path = os.path.abspath(os.fsdecode(name))
        return path if path.startswith(self._root) and not path.startswith(self._prefect) else ""

    def _begin(self, stage: str) -> None:
        self._now = stage
        if stage == self._stage and not self._armed:
            self._armed = True
            if self._begun:
                os.close(os.open(self._begun, os.O_CREAT | os.O_WRONLY))

    def _die(self) -> None:
        if self._alone:
            os.kill(os.getpid(), signal.SIGKILL)
        os.killpg(os.getpgrp(), signal.SIGKILL)


def _flow(stages: Sequence[str]) -> Any:
    from flows.pipeline import pipeline
    from tasks import ingest, report, sft, sft_data

    if not stages:
        return pipeline
    known = (ingest.ingest, sft_data.sft_data, sft.features, report.publish)
    chosen = [stage for stage in known if stage.name in stages]
    return lambda settings: [stage(settings) for stage in chosen]


def main() -> int:
    """Run the pipeline under the watch; its exit code."""
    order = json.loads(os.environ.pop("FVREC_FAULT"))
    watch = Watch(order)
    sys.addaudithook(watch)
    from flows.command import run_as_command

    code = run_as_command(_flow(order.get("stages", [])))
    if order.get("counts"):
        Path(order["counts"]).write_text(json.dumps(watch.counts))
    return code


if __name__ == "__main__":
    sys.exit(main())
