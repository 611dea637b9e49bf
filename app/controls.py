"""The shop's controls: which catalogue, model and strategy, how diverse, how many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import streamlit as st

from app.listing import Query
from app.rankers import DIVERSITY
from app.words import MODEL_NAMES, STRATEGY_NAMES, say
from fvrec.config import STRATEGIES
from fvrec.records import MODELS

if TYPE_CHECKING:
    from fvrec.rerank.constraints import Language

_LONGEST_LIST = 30


def query(sources: tuple[str, ...], language: Language) -> Query:
    """What the controls say, without words yet."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="controls"):
        strategy = choice("strategy", STRATEGIES, STRATEGY_NAMES, "base_rank", language)
        diversity = st.slider(
            say("diversity", language),
            0.0,
            1.0,
            DIVERSITY,
            0.05,
            key="diversity",
            width=200,
            help=say("diversity_help", language),
            disabled=strategy == "base_rank" and _view() == "list",
        )
        # Seldom changed, and a phone has little room: behind a button.
        with st.popover(say("options", language), icon=":material/tune:"):
            source = st.selectbox(say("source", language), sources, key="source") if len(sources) > 1 else sources[0]
            model = choice("model", MODELS, MODEL_NAMES, "lora", language)
            k = st.slider(say("k", language), 1, _LONGEST_LIST, 10, key="k")
    return Query(source=source, model=model, strategy=strategy, k=k, diversity=diversity)


def choice(name: str, options: tuple[str, ...], names: Mapping[str, str], default: str, language: Language) -> str:
    """One of a few, side by side."""
    chosen = st.segmented_control(
        say(name, language),
        options,
        default=default,
        required=True,
        format_func=names.__getitem__,
        help=say(f"{name}_help", language),
        key=name,
    )
    return chosen or default


def _view() -> str:
    return str(st.session_state.get("view") or "list")
