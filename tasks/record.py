"""What a finished stage leaves for people: two log files and Prefect artifacts."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.context import TaskRunContext

from fvrec.artifacts import Manifest, atomic_write
from fvrec.config import Settings
from fvrec.records import Metric, Run

TABLE_ROWS = 200
_COMMANDS = {"extraction": "extract", "reports": "report"}


def command(name: str, settings: Settings) -> str:
    """The ``fvrec`` command that repeats what ``settings`` say, ready for a shell."""
    words = ["fvrec", name, "--source", settings.source, "--preset", settings.preset, "--seed", str(settings.seed)]
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
    repeated = Settings(root=settings.root, source=run.source, preset=run.preset, **kept)
    return command(_COMMANDS.get(run.flow, run.flow), repeated)


def write_logs(flow: str, manifest: Manifest, settings: Settings) -> None:
    """``outputs/logs/<stage>_commands.txt`` and ``<stage>_outputs.txt``: how to repeat it, what it made."""
    atomic_write(settings.logs / f"{manifest.stage}_commands.txt", command(_COMMANDS.get(flow, flow), settings) + "\n")
    lines = [f"{digest}  {name}" for name, digest in sorted({**manifest.outputs, **manifest.warehouse}.items())]
    header = f"# stage {manifest.stage}, run {manifest.run_id}: SHA-256 of files, fingerprints of warehouse rows"
    atomic_write(settings.logs / f"{manifest.stage}_outputs.txt", "\n".join([header, *lines]) + "\n")


def leave_artifacts(manifest: Manifest, metrics: Sequence[Metric]) -> None:
    """A table of the run's metrics and a summary in Markdown, in the Prefect run under way (if there is one)."""
    if TaskRunContext.get() is None:
        return
    key = manifest.stage.replace("_", "-")
    create_markdown_artifact(_summary(manifest), key=f"{key}-summary", description=f"What stage {manifest.stage} made")
    if metrics:
        table = [_table_row(row) for row in metrics[:TABLE_ROWS]]
        create_table_artifact(table, key=f"{key}-metrics", description=f"Metrics of stage {manifest.stage}")


def _summary(manifest: Manifest) -> str:
    made = "\n".join(
        f"| `{name}` | `{digest[:16]}` |" for name, digest in {**manifest.outputs, **manifest.warehouse}.items()
    )
    return f"Run `{manifest.run_id}`, {manifest.seconds:.1f} s.\n\n| output | digest |\n|---|---|\n{made}\n"


def _table_row(row: Metric) -> dict[str, object]:
    names = ("metric", "field", "model", "strategy", "inputs", "mode", "split", "k", "value", "ci_low", "ci_high", "n")
    return {name: getattr(row, name) for name in names}
