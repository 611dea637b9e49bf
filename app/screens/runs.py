"""Runs: what ran, with which data and code, and the way to the Prefect UI."""

from __future__ import annotations

import json
import os
import socket
from urllib.parse import urlsplit

import streamlit as st

from app import frame, tables
from app.words import say
from fvrec.config import Settings
from fvrec.rerank.constraints import Language
from warehouse import questions

_DEFAULT = "http://127.0.0.1:4200"


def body(settings: Settings, language: Language) -> None:
    """The link, the runs, and one run's configuration."""
    _prefect(language)
    found = questions.runs(frame.warehouse(settings))
    if not found.rows:
        st.info(say("no_runs", language))
        return
    runs = tables.frame_of(found)
    stages = st.multiselect(
        say("stage", language), sorted(set(runs["stage"])), key="stages", placeholder=say("any", language)
    )
    shown = runs[runs["stage"].isin(stages)] if stages else runs
    st.dataframe(shown.drop(columns=["config"]), hide_index=True, alt=say("page_runs", language))
    run_id = st.selectbox(say("run", language), list(shown["run_id"]), key="run_id")
    config = json.loads(runs[runs["run_id"] == run_id].iloc[0]["config"])
    st.code(json.dumps(config, indent=2, ensure_ascii=False), language="json", wrap_lines=True)


def prefect_ui() -> str:
    """Where a browser finds the UI: ``PREFECT_UI_URL``, else where this process finds the server."""
    return os.environ.get("PREFECT_UI_URL") or prefect_server()


def prefect_server() -> str:
    """Where this process finds the server: beside ``PREFECT_API_URL``, else at the UI's address, else where
    ``fvrec serve`` puts it."""
    return os.environ.get("PREFECT_API_URL", "").removesuffix("/api") or os.environ.get("PREFECT_UI_URL") or _DEFAULT


def _prefect(language: Language) -> None:
    address = prefect_ui()
    # In containers a browser and this process know the server under two addresses.
    if _answers(prefect_server()):
        st.link_button(say("prefect_ui", language), address)
    else:
        st.info(say("no_prefect", language, address=address))


def _answers(address: str) -> bool:
    parts = urlsplit(address)
    try:
        with socket.create_connection(
            (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)), timeout=0.5
        ):
            return True
    except (OSError, ValueError):
        return False


frame.run(body)
