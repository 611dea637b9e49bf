"""Ingest: a source's rows and photos become validated items, files and warehouse rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from fvrec.artifacts import atomic_write, digest_listing
from fvrec.catalog import Catalog, build, check, profile, require_same_shop, write_items
from fvrec.config import DRAWN, FETCHED, Settings
from fvrec.records import Item, Placed, utc_now
from fvrec.sources import Source
from fvrec.sources.base import Digested
from fvrec.sources.customers import PURCHASE, profile_customers, read_customers
from fvrec.sources.provenance import with_provenance
from tasks.context import Context
from tasks.lineage import made_by
from tasks.progress import bar
from tasks.shards import runner_of
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
    return {} if settings.source == DRAWN else {"raw": digest_listing(settings.raw_dir)}


def _fetched(settings: Settings) -> list[Path]:
    """Pictures from URLs: the ingest brings them, and must bring them again when somebody clears them away."""
    return [settings.raw_dir / FETCHED]


@stage(
    "ingest",
    flow="ingest",
    outputs=_outputs,
    config=_config,
    external=_raw_files,
    source_relations=RELATIONS,
    listed=_fetched,
)
def ingest(context: Context) -> None:
    """Decode, hash, group and split the catalogue; keep what was rejected; profile and check what was kept."""
    settings = context.settings
    source = source_of(settings)
    progress, history = bar("ingest: read photos"), _history(context)
    catalog = build(
        source,
        root=settings.root,
        progress=progress,
        history=history,
        cache=settings.cache,
        limit=settings.limit,
        runner=runner_of(settings, context.stage),
    )
    _require_same_shop(context, catalog, history)
    check(catalog, root=settings.root, seed=settings.seed)
    write_items(context.build(settings.items_file), catalog.items)
    manifest = with_provenance(settings.raw_dir, source.manifest())
    origin = json.dumps(manifest, indent=2, ensure_ascii=False, default=str)
    atomic_write(context.build(settings.source_manifest), origin + "\n")
    _save(context, catalog)
    context.save_metrics(profile(catalog, source))
    _save_customers(context, source, catalog.items)


def _history(context: Context) -> Mapping[str, Placed]:
    """What earlier ingests placed. The drawn catalogue has none: another seed draws other products of these names."""
    return {} if context.settings.source == DRAWN else context.warehouse.placed(context.settings.source)


def _require_same_shop(context: Context, catalog: Catalog, history: Mapping[str, Placed]) -> None:
    """Items are known by source and id alone: another shop's would take the places of these."""
    settings = context.settings
    newest = context.warehouse.latest_run("ingest", settings.source) if history else None
    if newest is None:
        return
    raw = newest.config.get("raw")
    before = Path(raw) if raw else settings.model_copy(update={"raw": None}).raw_dir
    require_same_shop(catalog, history, before=before, now=settings.raw_dir)


def _save(context: Context, catalog: Catalog) -> None:
    """Write what changed; everything, when the rows are not what the newest ingest left."""
    database, source = context.database, context.settings.source
    if source == DRAWN:
        write.save_items(database, source, catalog.items, catalog.quarantined)
        return
    items = catalog.items_to_write() if _as_left(context) else catalog.items
    changes = catalog.changes
    write.update_items(
        database, source, items, catalog.quarantined, vanished=changes.vanished, left_out=changes.left_out, at=utc_now()
    )


def _as_left(context: Context) -> bool:
    """Whether the warehouse holds the very items of the newest complete ingest of this source."""
    newest = context.warehouse.latest_run("ingest", context.settings.source)
    if newest is None:
        return False
    relations = ("items", "item_attributes")
    found = context.warehouse.fingerprint_source(context.settings.source, relations)
    return all(made_by(newest, name) == found[name] for name in relations)


def _save_customers(context: Context, source: Source, items: Sequence[Item]) -> None:
    """Who bought what, where the source tells; customers of an earlier ingest are replaced either way."""
    customers = read_customers(source, items, seed=context.settings.seed)
    users, purchases = (customers.users, customers.interactions) if customers else ((), ())
    write.save_users(context.database, source.name, users, purchases, kind=PURCHASE)
    if customers:
        context.save_metrics(profile_customers(customers, source.name))
