"""Where a raw folder came from: ``download.json`` in it, kept by later manifests as long as the files are the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from fvrec.artifacts import atomic_write

RECORD = "download.json"
_KEPT = ("slug", "link", "version", "method", "license", "downloaded_at")


def record_download(
    raw_dir: Path, manifest: Mapping[str, Any], *, method: str, slug: str, link: str, version: str, license_text: str,
    at: datetime,
) -> dict[str, Any]:  # fmt: skip
    """The source's own manifest with how its files came here, also written into ``raw_dir``."""
    told = {"slug": slug, "link": link, "version": version, "method": method, "license": license_text,
            "downloaded_at": at.isoformat(timespec="seconds")}  # fmt: skip
    complete = {**manifest, **told}
    atomic_write(
        raw_dir / RECORD, json.dumps({**told, "files": manifest["files"]}, indent=2, ensure_ascii=False) + "\n"
    )
    return complete


def with_provenance(raw_dir: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """``manifest`` with what ``download.json`` says, unless one of its files has another digest now."""
    try:
        told = json.loads((raw_dir / RECORD).read_text(encoding="utf-8"))
        same = all(manifest["files"].get(name) == digest for name, digest in told["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return dict(manifest)
    return {**manifest, **{name: told[name] for name in _KEPT if name in told}} if same else dict(manifest)
