"""Catalogue: what is on the shelves, how its attributes are spread, and what was rejected."""

from __future__ import annotations

from functools import partial

import streamlit as st

from app import frame, tables, views
from app.words import field_word, say, value_word
from fvrec.config import Settings
from fvrec.rerank.constraints import Language
from fvrec.schema import FIELDS
from warehouse import questions
from warehouse.read import Warehouse

_PAGE = 24


def body(settings: Settings, language: Language) -> None:
    """Three tabs: products, distributions, quarantine."""
    warehouse = frame.warehouse(settings)
    source = tables.choose_source(warehouse, language)
    if source is None:
        return
    products, spread, rejected = st.tabs([say(name, language) for name in ("products", "spread", "quarantine")])
    with products:
        _products(warehouse, source, settings, language)
    with spread:
        _spread(warehouse, source, language)
    with rejected:
        tables.show(
            questions.rejected(warehouse, source), say("quarantine", language), empty=say("no_quarantine", language)
        )


def _products(warehouse: Warehouse, source: str, settings: Settings, language: Language) -> None:
    words = st.text_input(say("title_has", language), key="title_has", max_chars=100).strip()
    fields = st.pills(
        say("filter_by", language),
        FIELDS,
        selection_mode="multi",
        default=["category", "color"],
        key="filters",
        format_func=lambda one: field_word(one, language),
    )
    wanted = {}
    with st.container(horizontal=True):
        for field in fields:
            values = [row[0] for row in questions.distribution(warehouse, source, field).rows]
            wanted[field] = st.multiselect(
                field_word(field, language),
                values,
                key=f"filter_{field}",
                width=220,
                placeholder=say("any", language),
                format_func=partial(_word, field, language),
            )
    number = int(st.session_state.get("shelf_page", 1))
    found = questions.browse(warehouse, source, wanted, words, limit=_PAGE, offset=_PAGE * (number - 1))
    if not found.rows and number > 1:
        number = 1
        st.session_state["shelf_page"] = 1
        found = questions.browse(warehouse, source, wanted, words, limit=_PAGE, offset=0)
    total = int(found.rows[0][0]) if found.rows else 0
    st.caption(say("found", language, n=total))
    if total > _PAGE:
        st.number_input(say("page", language), 1, -(-total // _PAGE), key="shelf_page", width=160)
    with st.container(key="shelf"):
        for _, item_id, title, path, split, attributes in found.rows:
            with st.container(border=True):
                views.photo(settings, path, title or item_id, language)
                st.markdown(f"**{views.plain(title or item_id)}**")
                known = ", ".join(
                    f"{field_word(field, language)}: {value_word(field, value, language)}"
                    for field, value in (attributes or {}).items()
                )
                st.caption(f"{views.plain(item_id)} · {split}  \n{views.plain(known)}")


def _word(field: str, language: Language, value: str) -> str:
    return value_word(field, value, language)


def _spread(warehouse: Warehouse, source: str, language: Language) -> None:
    import altair as alt

    field = st.selectbox(
        say("attribute", language), FIELDS, format_func=lambda one: field_word(one, language), key="spread_field"
    )
    counts = tables.frame_of(questions.distribution(warehouse, source, field))
    counts["word"] = [value_word(field, value, language) for value in counts["value"]]
    made = (
        alt.Chart(counts)
        .mark_bar()
        .encode(x=alt.X("items:Q", title=say("items", language)), y=alt.Y("word:N", sort="-x", title=None))
    )
    tables.chart(made, say("spread_alt", language, field=field_word(field, language)))


frame.run(body)
