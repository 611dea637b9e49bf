"""Extraction: which model reads best, what it takes for what, how far to trust it, and a photo of your own."""

from __future__ import annotations

import streamlit as st

from app import extraction_views, frame, tables
from app.words import say
from fvrec.config import Settings
from fvrec.rerank.constraints import Language
from warehouse import questions


def body(settings: Settings, language: Language) -> None:
    """Leaderboard first; below it one variant in detail; then an upload."""
    warehouse = frame.warehouse(settings)
    source = tables.choose_source(warehouse, language)
    if source is None:
        return
    st.subheader(say("leaderboard", language))
    board = questions.leaderboard(warehouse, source)
    tables.show(board, say("leaderboard", language), empty=say("no_extraction", language))
    variant = extraction_views.variant(warehouse, source, language)
    if variant is not None:
        names = ("confusion", "reliability", "failures")
        parts = st.tabs([say(name, language) for name in names])
        for part, draw in zip(
            parts, (extraction_views.confusion, extraction_views.reliability, extraction_views.failures), strict=True
        ):
            with part:
                draw(warehouse, source, variant, settings, language)
    st.subheader(say("try_photo", language))
    extraction_views.upload(source, settings, language)


frame.run(body)
