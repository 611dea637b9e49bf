"""What a finished stage leaves in the Prefect UI: a summary, a table of metrics, its reports, its pictures."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact
from prefect.context import TaskRunContext

from fvrec.artifacts import Manifest
from fvrec.records import Metric

TABLE_ROWS = 200
REPORT_CHARACTERS = 100_000
"""What of a report is shown at most; the failure cases of a large catalogue fill megabytes."""
PICTURE_PIXELS = 1000
"""Width of a picture at most."""
_PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)]+)\)")


def leave_artifacts(manifest: Manifest, metrics: Sequence[Metric], outputs: Sequence[Path]) -> None:
    """Artifacts of the stage in the Prefect run under way (if there is one). ``outputs``: the files that it made."""
    if TaskRunContext.get() is None:
        return
    key = manifest.stage.replace("_", "-")
    create_markdown_artifact(_summary(manifest), key=f"{key}-summary", description=f"What stage {manifest.stage} made")
    if metrics:
        table = [_table_row(row) for row in metrics[:TABLE_ROWS]]
        create_table_artifact(table, key=f"{key}-metrics", description=f"Metrics of stage {manifest.stage}")
    for path in outputs:
        if path.suffix == ".md":
            create_markdown_artifact(report_text(path), key=_key(path), description=f"Report {path.name}")
        elif path.suffix == ".png":
            create_image_artifact(picture_url(path), key=_key(path), description=f"Picture {path.name}")


def report_text(path: Path) -> str:
    """A report as an artifact shows it: its pictures are artifacts of their own, and what is very long is cut."""
    text = _PICTURE.sub(lambda match: f"*{match[1] or 'picture'}: `{match[2]}`*", path.read_text(encoding="utf-8"))
    if len(text) <= REPORT_CHARACTERS:
        return text
    kept = text[:REPORT_CHARACTERS].rsplit("\n", 1)[0]
    return f"{kept}\n\n… the rest is in `{path.name}`.\n"


def picture_url(path: Path) -> str:
    """A picture as a ``data:`` address, at most ``PICTURE_PIXELS`` wide: the UI has no other way to a local file."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    if picture.width > PICTURE_PIXELS:
        picture = picture.resize((PICTURE_PIXELS, round(picture.height * PICTURE_PIXELS / picture.width)))
    encoded = io.BytesIO()
    picture.save(encoded, "WEBP", quality=85)
    return f"data:image/webp;base64,{base64.b64encode(encoded.getvalue()).decode()}"


def _key(path: Path) -> str:
    return re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-") + ("-picture" if path.suffix == ".png" else "")


def _summary(manifest: Manifest) -> str:
    made = "\n".join(
        f"| `{name}` | `{digest[:16]}` |" for name, digest in {**manifest.outputs, **manifest.warehouse}.items()
    )
    return f"Run `{manifest.run_id}`, {manifest.seconds:.1f} s.\n\n| output | digest |\n|---|---|\n{made}\n"


def _table_row(row: Metric) -> dict[str, object]:
    names = ("metric", "field", "model", "strategy", "inputs", "mode", "split", "k", "value", "ci_low", "ci_high", "n")
    return {name: getattr(row, name) for name in names}
