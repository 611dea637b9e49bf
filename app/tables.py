"""Warehouse tables on a page: as data frames, and as charts that fit both themes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from app.words import say

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd
    import pyarrow as pa

    from fvrec.rerank.constraints import Language
    from warehouse.query import Table
    from warehouse.read import Warehouse


def frame_of(table: Table) -> pd.DataFrame:
    """The rows under their names."""
    import pandas as pd

    return pd.DataFrame(list(table.rows), columns=list(table.columns))


def show(table: Table, words: str, *, empty: str) -> None:
    """The rows as a grid, or what to do when there are none. ``words``: what a screen reader says."""
    if not table.rows:
        st.info(empty)
        return
    st.dataframe(frame_of(table), hide_index=True, alt=words)


def show_arrow(table: pa.Table, words: str) -> None:
    """The rows of a typed query as a grid. FvrecError on a value that Python (and a browser) cannot hold."""
    import pandas as pd
    import pyarrow as pa

    from warehouse.export import columns

    values = columns(table)
    try:
        frame = table.to_pandas()
    except (pa.ArrowNotImplementedError, ValueError, OverflowError):  # of some types and times pandas has no idea
        frame = pd.DataFrame(dict(zip(table.column_names, values, strict=True)))
    st.dataframe(frame, hide_index=True, alt=words)


def choose_source(warehouse: Warehouse, language: Language) -> str | None:
    """One of the sources; None, after saying which command brings one, when there is none."""
    from warehouse.questions import sources

    found = sources(warehouse)
    if not found:
        st.info(say("no_items", language))
        return None
    return st.selectbox(say("source", language), found, key="page_source") if len(found) > 1 else found[0]


def chart(made: alt.Chart | alt.LayerChart, words: str) -> None:
    """A chart as wide as its place."""
    st.altair_chart(made, width="stretch", alt=words)
