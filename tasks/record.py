"""What a finished stage leaves beside its outputs: two log files, with the command that repeats it."""

from __future__ import annotations

import shlex
from typing import Any

from fvrec.artifacts import Manifest, atomic_write
from fvrec.config import Settings
from fvrec.records import Run

_COMMANDS = {"extraction": "extract", "reports": "report"}


def command(name: str, settings: Settings) -> str:
    """The command that repeats what ``settings`` say, ready for a shell; variables stand for what is no option."""
    given = {"FVREC_POOL": settings.pool, "FVREC_TUNE_TOWER": settings.tune_tower}
    variables = [f"{variable}={int(value)}" for variable, value in given.items() if value is not None]
    words = [*variables, "fvrec", name, "--source", settings.source, "--preset", settings.preset]
    words += ["--seed", str(settings.seed)]
    for option in ("raw", "limit", "weights"):
        value = getattr(settings, option)
        if value is not None:
            words += [f"--{option}", str(value)]
    if settings.root != type(settings).model_fields["root"].default:
        words += ["--root", str(settings.root)]
    return shlex.join(words)


def command_of(run: Run, settings: Settings) -> str:
    """The command that repeats a recorded run, in the root that ``settings`` name."""
    kept: dict[str, Any] = {
        name: run.config[name] for name in ("seed", "limit", "raw") if run.config.get(name) is not None
    }
    kept |= {"pool": settings.pool, "tune_tower": settings.tune_tower}
    repeated = Settings(root=settings.root, source=run.source, preset=run.preset, **kept)
    return command(_COMMANDS.get(run.flow, run.flow), repeated)


def write_logs(flow: str, manifest: Manifest, settings: Settings) -> None:
    """``outputs/logs/<stage>_commands.txt`` and ``<stage>_outputs.txt``: how to repeat it, what it made."""
    atomic_write(settings.logs / f"{manifest.stage}_commands.txt", command(_COMMANDS.get(flow, flow), settings) + "\n")
    lines = [f"{digest}  {name}" for name, digest in sorted({**manifest.outputs, **manifest.warehouse}.items())]
    header = f"# stage {manifest.stage}, run {manifest.run_id}: SHA-256 of files, fingerprints of warehouse rows"
    atomic_write(settings.logs / f"{manifest.stage}_outputs.txt", "\n".join([header, *lines]) + "\n")
