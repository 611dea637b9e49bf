"""Whether the newest runs of the stages belong together, from their rows in ``runs`` alone.

Age does not tell: an upstream stage that ran again and made the same again leaves what was made from it as good as it
was. So every run's row keeps the digests of what it read and made, and these are compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fvrec.errors import FvrecError
from fvrec.records import Run

KEY = "lineage"
"""Key of ``runs.config`` that holds it."""
NO_ROWS = "no rows"
"""Stands for the digest of a relation without any row of the run."""
SHARED = ("seed", "limit", "raw")
"""Settings that all runs of one pipeline have in common, as far as they steer a stage at all."""


def lineage(config: Mapping[str, Any], read: Mapping[str, str], made: Mapping[str, str]) -> dict[str, Any]:
    """What a run's row keeps: which shared settings steer its stage, what it read (``stage:name``) and what it made."""
    return {"steered": [name for name in SHARED if name in config], "read": dict(read), "made": dict(made)}


def check_lineage(runs: Mapping[str, Run], *, mend: str) -> None:
    """FvrecError naming the first stage whose run does not fit the others. ``mend`` is the command that helps.

    runs: stage -> its newest complete run, in the order in which stages run; ``ingest`` among them.
    """
    for run in runs.values():
        for fault in _faults(run, runs):
            raise FvrecError(f"the runs do not belong together: stage {run.stage} {fault}", allowed=f"`{mend}` first")


def _faults(run: Run, runs: Mapping[str, Run]) -> Iterator[str]:
    ingest, kept = runs["ingest"], run.config.get(KEY)
    steered: Sequence[str] = SHARED if kept is None else kept["steered"]
    for name in steered:
        if run.config.get(name) != ingest.config.get(name):
            yield f"ran with --{name} {run.config.get(name)}, the ingest with {ingest.config.get(name)}"
    if kept is None:
        # Rows of a version that kept no digests: there, age is all that can be asked.
        if run.started_at < ingest.started_at:
            yield "ran before the newest ingest"
        return
    for source, digest in kept["read"].items():
        stage, _, name = source.partition(":")
        if stage in runs and KEY in runs[stage].config and digest != made_by(runs[stage], name):
            yield f"read another {name} than the newest {stage} made"


def made_by(run: Run, name: str) -> str | None:
    """Digest of an output or relation as the run left it; None when its row keeps none."""
    kept = run.config.get(KEY)
    return None if kept is None else kept["made"].get(name, NO_ROWS)
