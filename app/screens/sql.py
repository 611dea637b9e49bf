"""SQL: one read-only query on the published snapshot, with an example for every view."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from app import frame, tables, views
from app.words import say
from fvrec.config import Settings
from fvrec.errors import FvrecError
from fvrec.rerank.constraints import Language
from warehouse import questions
from warehouse.export import FORMATS, encode

if TYPE_CHECKING:
    import pyarrow as pa

MAX_ROWS = 1_000
# All of a result goes to the browser, and into three files.
MAX_BYTES = 16 * 2**20
TIMEOUT_S = 5.0
_FIRST = "FROM model_leaderboard"
_KINDS = {"csv": "text/csv", "json": "application/json", "parquet": "application/vnd.apache.parquet"}


def body(settings: Settings, language: Language) -> None:
    """Examples, the box, the rows, and the rows as files."""
    warehouse = frame.warehouse(settings)
    st.caption(say("sql_help", language, rows=MAX_ROWS, seconds=f"{TIMEOUT_S:g}"))
    examples = dict(questions.views(warehouse).rows)
    chosen = st.selectbox(
        say("sql_examples", language),
        list(examples),
        index=None,
        key="sql_example",
        format_func=lambda name: f"{name}: {examples[name]}",
        placeholder=say("sql_choose", language),
    )
    if chosen is not None and st.session_state.get("sql_shown") != chosen:
        st.session_state["sql_shown"] = chosen
        st.session_state["sql"] = f"FROM {chosen} LIMIT 50"
    st.session_state.setdefault("sql", _FIRST)
    with st.form("query", border=False):
        typed = st.text_area("SQL", key="sql", height=140, max_chars=20_000)
        st.form_submit_button(say("sql_run", language), type="primary")
    if not typed.strip():
        return
    with st.spinner(say("searching", language)):
        found, more = warehouse.query_arrow(typed, max_rows=MAX_ROWS, timeout_s=TIMEOUT_S, max_bytes=MAX_BYTES)
    tables.show_arrow(found, say("sql_result", language))
    st.caption(say("sql_more" if more else "sql_rows", language, rows=found.num_rows))
    with st.container(horizontal=True):
        for kind in FORMATS:
            _download(found, kind)
    with st.expander(say("columns", language)):
        comments = warehouse.query(
            "SELECT table_name, column_name, data_type, comment FROM duckdb_columns() WHERE NOT internal ORDER BY ALL"
        )
        tables.show(comments, views.plain(say("columns", language)), empty="")


def _download(found: pa.Table, kind: str) -> None:
    """A file of that kind; a button that says why not where the kind has no place for a value."""
    try:
        data, problem = encode(found, kind), None
    except FvrecError as error:
        data, problem = b"", views.plain(error.what)
    st.download_button(
        kind.upper(),
        data,
        f"fvrec.{kind}",
        _KINDS[kind],
        key=f"download_{kind}",
        disabled=problem is not None,
        help=problem,
    )


frame.run(body)
