"""One connector per dataset behind one Protocol."""

from __future__ import annotations

from pathlib import Path

from fvrec.config import SOURCES
from fvrec.errors import FvrecError
from fvrec.sources.base import Purchase, PurchaseSource, RawRow, Source

__all__ = ["Purchase", "PurchaseSource", "RawRow", "Source", "open_source"]


def open_source(name: str, raw_dir: Path, *, items: int = 3000, seed: int = 7, limit: int | None = None) -> Source:
    """The connector of that name over the files in ``raw_dir``; nothing is read or written yet.

    items: how many products the embedded catalogue draws (other sources ignore it).
    limit: take a sample of at most so many rows, chosen by ``seed``. FvrecError on an unknown name or a number below 1.
    """
    for option, number in (("items", items), ("limit", limit)):
        if number is not None and number < 1:
            raise FvrecError("too few products were asked for", where=option, found=number, allowed="1 or more")
    if name == "embedded":
        from fvrec.sources.embedded import EmbeddedSource

        return EmbeddedSource(raw_dir, items=items if limit is None else min(items, limit), seed=seed)
    if name in ("myntra", "myntra-small"):
        from fvrec.sources.myntra import MyntraSource

        return MyntraSource(raw_dir, name=name, seed=seed, limit=limit)
    if name == "hm":
        from fvrec.sources.hm import HmSource

        return HmSource(raw_dir, seed=seed, limit=limit)
    if name == "deepfashion":
        from fvrec.sources.deepfashion import DeepFashionSource

        return DeepFashionSource(raw_dir, seed=seed, limit=limit)
    if name == "tabular":
        from fvrec.sources.tabular import TabularSource

        return TabularSource(raw_dir, seed=seed, limit=limit)
    raise FvrecError("unknown source", where="--source", found=name, allowed=SOURCES)
