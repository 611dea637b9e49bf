"""Shop: a wish in words (and a picture) in, an explained list out; more turns refine it."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from app import controls, frame, shop_views, views
from app.listing import Listing, Query
from app.service import DemoService
from app.talk import Talk
from app.words import EXAMPLES, say
from fvrec.config import Settings
from fvrec.errors import FvrecError
from fvrec.rerank.constraints import Language

_VIEWS = ("list", "compare", "feed")


def body(settings: Settings, language: Language) -> None:
    """The page, from top to bottom."""
    st.caption(say("tagline", language))
    service = frame.service(settings)
    sources = service.sources()
    talk = _listen(language)
    query = replace(controls.query(sources, language), text=talk.text)
    query = replace(query, picture=talk.picture, standing=talk.standing, struck=talk.struck)
    # Explanations speak the language of the request; without words, that of the page.
    query = replace(query, language=None if talk.text else language)
    if not talk:
        st.info(say("empty", language))
        return
    shop_views.said(talk, language)
    if talk.picture is not None:
        _reference(service, talk.picture, language)
    with st.spinner(say("searching", language)):
        found = service.ask(query)
    st.session_state["talk"] = talk = talk.answered_by(found.answer.constraints)
    shop_views.pills(talk, found, language)
    how = st.segmented_control(
        say("view", language),
        _VIEWS,
        default="list",
        required=True,
        format_func=lambda name: say(f"view_{name}", language),
        key="view",
        label_visibility="collapsed",
    )
    _show(how or "list", query, found, service, language)


def _show(how: str, query: Query, found: Listing, service: DemoService, language: Language) -> None:
    if how == "compare":
        shop_views.side_by_side(service.compare(query), service, language)
    elif how == "feed":
        from app import feed_views

        feed_views.feed(query, service, language)
    else:
        views.listing(found, query, service, language)


def _listen(language: Language) -> Talk:
    """What stands, after what the visitor has just said."""
    from app.pictures import MAX_UPLOAD_MB

    talk: Talk = st.session_state.setdefault("talk", Talk())
    with st.container(key="ask"):  # in a container it stands where it is written, not at the foot of the window
        said = st.chat_input(
            say("placeholder", language),
            key="chat",
            max_chars=500,
            accept_file=True,
            file_type=["jpg", "jpeg", "png", "webp"],
            max_upload_size=MAX_UPLOAD_MB,
        )
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="examples"):
        st.caption(say("examples", language), width="content")
        for number, example in enumerate(EXAMPLES[language]):
            if st.button(example, key=f"example_{number}", type="tertiary"):
                said, talk = None, Talk().say(example)
    if said is not None:
        picture = said.files[0].getvalue() if said.files else None
        talk = talk.say((said.text or "").strip(), picture)
    st.session_state["talk"] = talk
    return talk


def _reference(service: DemoService, picture: bytes, language: Language) -> None:
    try:
        views.reference(service.thumbnail(picture), language)
    except FvrecError:
        st.session_state["talk"] = st.session_state["talk"].without_picture()
        raise


frame.run(body)
