"""Trade-off: relevance against diversity, every point from the warehouse, and the list behind a point."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

import streamlit as st

from app import frame, tables, views
from app.rankers import DIVERSITY, own_weight, slider
from app.service import policy_dir
from app.words import say
from fvrec.config import Settings
from fvrec.rerank.constraints import Language
from warehouse import questions
from warehouse.read import Warehouse

if TYPE_CHECKING:
    import pandas as pd

_POINTS = "points"
_HEIGHT = 520
# Strategies of the reports whose lists the page makes, by its own names: its RL has the exchange behind it.
_LIVE = {"base_rank": "base_rank", "mmr": "mmr", "rl_swap": "rl"}


def body(settings: Settings, language: Language) -> None:
    """The curves, then what the chosen point shows to a shopper."""
    st.caption(say("trade_off_help", language))
    warehouse = frame.warehouse(settings)
    source = tables.choose_source(warehouse, language)
    if source is None:
        return
    points = tables.frame_of(questions.trade_off(warehouse, source))
    if points.empty:
        st.info(say("no_trade_off", language))
        return
    own = own_weight(policy_dir(settings))
    points["diversity"] = [
        slider(strategy, setting, own)
        for strategy, setting in zip(points["strategy"], points["trade_off"], strict=True)
    ]
    points["point"] = list(map(_name, points["strategy"], points["diversity"]))
    # What knows the truth lies so far to the right that the others would share a third of the chart.
    _pick(_curves(points[points["strategy"] != "oracle"], language), list(points["point"]))
    chosen = st.selectbox(say("point", language), list(points["point"]), key="point")
    row = points[points["point"] == chosen].iloc[0]
    with st.container(horizontal=True):
        for name in ("ndcg", "ild", "coverage", "true_reward"):
            st.metric(name, "–" if row[name] != row[name] or row[name] is None else f"{row[name]:.3f}", width="content")
    _behind(row, source, warehouse, settings, language)


def _name(strategy: str, diversity: float) -> str:
    return strategy if isnan(diversity) else f"{strategy} λ={diversity:.2f}"


def _curves(points: pd.DataFrame, language: Language) -> object:
    import altair as alt

    pick = alt.selection_point(name=_POINTS, fields=["point"])
    base = alt.Chart(points).encode(
        x=alt.X("ndcg:Q", scale=alt.Scale(zero=False), title="NDCG"),
        y=alt.Y("ild:Q", scale=alt.Scale(zero=False), title="ILD"),
        # Below the chart, where a dozen names find room on a phone, too; and no two of one colour.
        color=alt.Color(
            "strategy:N",
            title=None,
            scale=alt.Scale(scheme="category20"),
            legend=alt.Legend(orient="bottom", columns=2, symbolOpacity=1),
        ),
        tooltip=["point", *(alt.Tooltip(name, format=".3f") for name in ("ndcg", "ild", "coverage", "true_reward"))],
    )
    # A ranker's own point lies on its curve or, where its setting is none of those swept, beside it: no line to it.
    line = base.transform_filter("isValid(datum.trade_off)").mark_line().encode(order="trade_off:Q")
    dots = base.mark_point(filled=True, size=90).encode(opacity=alt.condition(pick, alt.value(1), alt.value(0.4)))
    return st.altair_chart(
        line + dots.add_params(pick),
        width="stretch",
        height=_HEIGHT,
        on_select="rerun",
        key="curves",
        alt=say("trade_off_alt", language),
    )


def _pick(event: object, names: list[str]) -> None:
    """A click on the chart chooses in the list below, which the keyboard reaches too."""
    selection = getattr(event, "selection", None) or {}
    clicked = [one.get("point") for one in selection.get(_POINTS, [])]
    if clicked and clicked[0] in names and st.session_state.get("clicked") != clicked[0]:
        st.session_state["clicked"] = st.session_state["point"] = clicked[0]


def _behind(row: pd.Series, source: str, warehouse: Warehouse, settings: Settings, language: Language) -> None:
    st.subheader(say("behind", language))
    recorded = questions.recorded_lists(warehouse, row["run_id"], row["strategy"])
    if recorded and isnan(row["diversity"]):
        query_id = st.selectbox(say("request", language), recorded, key="recorded")
        with st.container(key="shelf"):
            kept = questions.recorded_list(warehouse, row["run_id"], row["strategy"], query_id).rows
            # Runs of before counted the positions of these lists from 0.
            for place, (_, item_id, title, path, score, _) in enumerate(kept, start=1):
                with st.container(border=True):
                    views.photo(settings, path or "", title or item_id, language)
                    st.caption(f"**{place}\\. {views.plain(title or item_id)}**  \n{score:.3f}")
        return
    _live(row, source, settings, language)


def _live(row: pd.Series, source: str, settings: Settings, language: Language) -> None:
    """A list at this setting, made now: a curve's lists are not kept."""
    from app.listing import Query

    strategy = _LIVE.get(row["strategy"], "")
    if not strategy:
        st.info(say("no_list", language))
        return
    text = st.text_input(say("ask", language), say("trade_off_wish", language), key="trade_off_text", max_chars=500)
    diversity = DIVERSITY if isnan(row["diversity"]) else float(row["diversity"])
    query = Query(source=source, text=text.strip(), strategy=strategy, diversity=diversity)
    service = frame.service(settings)
    with st.container(key="shelf"):
        for card in service.ask(query).cards:
            item = card.ranked.item
            with st.container(border=True):
                views.photo(settings, item.image_path, item.title or item.item_id, language)
                st.caption(f"**{card.ranked.position}\\. {views.plain(item.title or item.item_id)}**")


frame.run(body)
