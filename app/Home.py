"""The demo page: a wish in words (and a picture) in, an explained list out. Run by ``fvrec demo``."""
# ruff: noqa: N999 - the file's name is the page's name

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from app import views
from app.words import EXAMPLES, LANGUAGE_NAMES, MODEL_NAMES, STRATEGY_NAMES, say
from fvrec.config import STRATEGIES, Settings
from fvrec.errors import FvrecError
from fvrec.records import MODELS

if TYPE_CHECKING:
    from app.listing import Query
    from app.service import DemoService
    from fvrec.rerank.constraints import Language

_LOG = logging.getLogger(__name__)
_LONGEST_LIST = 30


@st.cache_resource(max_entries=2, show_spinner=False)
def _service(snapshot: Path, _settings: Settings) -> DemoService:
    """One service per published snapshot: publishing another changes the resolved path, which is the key."""
    from app.service import DemoService

    return DemoService.open(_settings)


def main() -> None:
    """The page, from top to bottom."""
    st.set_page_config(page_title="fvrec", page_icon="👗", layout="wide")
    views.style()
    language = _header()
    try:
        settings = Settings()
        service = _service(settings.snapshot.resolve(), settings)
        _shop(service, language)
    except FvrecError as error:
        views.problem(error, language)
    except Exception:
        _LOG.exception("the page failed")
        st.error(say("broken", language))


def _header() -> Language:
    names = list(LANGUAGE_NAMES)
    preferred: Language = "zh" if (st.context.locale or "").lower().startswith("zh") else "en"
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown("## fvrec", width="content")
        chosen = st.segmented_control(
            "Language · 语言",
            names,
            default=preferred,
            required=True,
            format_func=LANGUAGE_NAMES.__getitem__,
            key="language",
            label_visibility="collapsed",
        )
    language: Language = chosen or preferred
    st.caption(say("tagline", language))
    return language


def _shop(service: DemoService, language: Language) -> None:
    sources = service.sources()
    query = _controls(sources, language)
    if not query.text and query.picture is None:
        st.info(say("empty", language))
        return
    if query.picture is not None:
        views.reference(service.thumbnail(query.picture), language)
    with st.spinner(say("searching", language)):
        found = service.ask(query)
    views.listing(found, query.model, service, language)


def _controls(sources: tuple[str, ...], language: Language) -> Query:
    from app.listing import Query

    text = _wish(language)
    with st.container(horizontal=True, vertical_alignment="bottom", key="controls"):
        picture = _picture(language)
        source = st.selectbox(say("source", language), sources, key="source") if len(sources) > 1 else sources[0]
        model = _choice("model", MODELS, MODEL_NAMES, "lora", language)
        strategy = _choice("strategy", STRATEGIES, STRATEGY_NAMES, "base_rank", language)
        k = st.slider(say("k", language), 1, _LONGEST_LIST, 10, key="k", width=220)
    return Query(
        source=source,
        text=text,
        model=model,
        strategy=strategy,
        k=k,
        picture=picture,
        # Explanations speak the language of the request; without words, that of the page.
        language=None if text else language,
    )


def _wish(language: Language) -> str:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(say("ask", language), key="text", max_chars=500, placeholder=say("placeholder", language))
        st.button(say("search", language), type="primary", key="search")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(say("examples", language), width="content")
        for number, example in enumerate(EXAMPLES[language]):
            st.button(example, key=f"example_{number}", type="tertiary", on_click=_fill_in, args=(example,))
    return (text or "").strip()


def _fill_in(example: str) -> None:
    st.session_state["text"] = example


def _picture(language: Language) -> bytes | None:
    from app.pictures import MAX_UPLOAD_MB

    with st.popover(say("picture", language)):
        upload = st.file_uploader(
            say("picture", language),
            type=["jpg", "jpeg", "png", "webp"],
            max_upload_size=MAX_UPLOAD_MB,
            help=say("picture_help", language),
            key="picture",
        )
    return None if upload is None else upload.getvalue()


def _choice(name: str, options: tuple[str, ...], names: Mapping[str, str], default: str, language: Language) -> str:
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


if __name__ == "__main__":
    main()
