"""Ingest: a source's rows and photos become validated items, files and warehouse rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from fvrec.artifacts import atomic_write, digest_tree
from fvrec.catalog import build, check, profile, write_items
from fvrec.config import DRAWN, Settings
from fvrec.sources.base import Digested
from fvrec.sources.provenance import with_provenance
from tasks.context import Context
from tasks.progress import bar
from tasks.source import source_of
from tasks.stage import stage
from warehouse import write

RELATIONS = ("items", "item_attributes", "quarantine")


def _outputs(settings: Settings) -> list[Path]:
    drawn = [settings.raw_dir] if settings.source == DRAWN else []
    return [settings.items_file, settings.source_manifest, *drawn]


def _config(settings: Settings) -> Mapping[str, object]:
    drawn = {"items": settings.budget.embedded_items} if settings.source == DRAWN else {}
    raw = None if settings.raw is None else str(settings.raw.resolve())
    return {"seed": settings.seed, "limit": settings.limit, "raw": raw, **drawn}


def _raw_files(settings: Settings) -> Mapping[str, str]:
    source = source_of(settings)
    source.discover()
    if isinstance(source, Digested):
        return {"raw": source.input_digest()}
    return {} if settings.source == DRAWN else {"raw": digest_tree(settings.raw_dir)}


@stage("ingest", flow="ingest", outputs=_outputs, config=_config, external=_raw_files, source_relations=RELATIONS)
def ingest(context: Context) -> None:
    """Decode, hash, group and split the catalogue; keep what was rejected; profile and check what was kept."""
    settings = context.settings
    source = source_of(settings)
    catalog = build(source, root=settings.root, progress=bar("ingest: read photos"))
    check(catalog, root=settings.root, seed=settings.seed)
    write_items(context.build(settings.items_file), catalog.items)
    manifest = with_provenance(settings.raw_dir, source.manifest())
    origin = json.dumps(manifest, indent=2, ensure_ascii=False, default=str)
    atomic_write(context.build(settings.source_manifest), origin + "\n")
    write.save_items(context.database, source.name, catalog.items, catalog.quarantined)
    context.save_metrics(profile(catalog, source))
