"""The feed: one card at a time, liked or skipped, and what was liked so far."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from app import views
from app.feed import Answers, next_item
from app.words import say

if TYPE_CHECKING:
    from app.listing import Query
    from app.service import DemoService
    from fvrec.rerank.constraints import Language


_DEPTH = 30


def feed(query: Query, service: DemoService, language: Language) -> None:
    """The next card. The answers belong to one request: another request begins anew."""
    answers = _answers(query)
    # Behind what meets the wish comes what meets some of it, so that the feed does not end after two cards.
    found = service.ask(replace(query, k=_DEPTH))
    st.caption(say("feed_help", language))
    st.markdown(say("feed_count", language, liked=len(answers.liked), skipped=len(answers.skipped)))
    item_id = next_item(found.answer.pool, service.ranker(query), answers)
    if item_id is None:
        st.info(say("feed_end", language))
    else:
        with st.container(key="feed", width=420):
            card = service.card(query, item_id)
            views.card(card, query, service, language)
            with st.container(horizontal=True, key="answer"):
                st.button(
                    say("like", language),
                    icon=":material/thumb_up:",
                    key="like",
                    type="primary",
                    on_click=_keep,
                    args=(answers.like(item_id),),
                )
                st.button(
                    say("skip", language),
                    icon=":material/skip_next:",
                    key="skip",
                    on_click=_keep,
                    args=(answers.skip(item_id),),
                )
    if answers.given:
        st.button(say("feed_again", language), key="feed_again", type="tertiary", on_click=_keep, args=(Answers(),))
    _liked(query, answers, service, language)


def _answers(query: Query) -> Answers:
    """Strategy and diversity may change midway; words, picture, model and catalogue make another feed."""
    asked = (query.source, query.model, query.text, query.picture, query.standing)
    if st.session_state.get("feed_of") != asked:
        st.session_state["feed_of"], st.session_state["feed_answers"] = asked, Answers()
    kept: Answers = st.session_state["feed_answers"]
    return kept


def _keep(answers: Answers) -> None:
    st.session_state["feed_answers"] = answers


def _liked(query: Query, answers: Answers, service: DemoService, language: Language) -> None:
    if not answers.liked:
        return
    st.markdown(f"**{say('liked', language)}**")
    with st.container(horizontal=True, key="liked"):
        for item_id in reversed(answers.liked):
            item = service.card(query, item_id).ranked.item
            picture = service.picture(item)
            if picture is not None:
                st.image(picture, width=96, alt=say("photo_of", language, title=item.title))
