"""What stands above and beside the shop's list: what was said, pills to strike, three strategies side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import streamlit as st

from app import views
from app.talk import Talk
from app.words import STRATEGY_NAMES, say
from fvrec.errors import FvrecError

if TYPE_CHECKING:
    from app.listing import Card, Listing
    from app.service import DemoService
    from fvrec.rerank.constraints import Constraint, Language

_SAID = 3
"""Earlier turns that are shown."""


def said(talk: Talk, language: Language) -> None:
    """The last turns, and a way to begin anew."""
    with st.container(horizontal=True, vertical_alignment="center", key="said"):
        turns = " → ".join(views.plain(turn) for turn in talk.said[-_SAID:])
        st.markdown(f":material/chat: {turns}" if turns else ":material/image:", width="content")
        st.button(say("start_over", language), key="start_over", type="tertiary", on_click=_set, args=(Talk(),))
        if talk.picture is not None:
            st.button(
                say("drop_picture", language),
                key="drop_picture",
                type="tertiary",
                on_click=_set,
                args=(talk.without_picture(),),
            )


def pills(talk: Talk, found: Listing, language: Language) -> None:
    """What was understood, each with a cross that strikes it; then what was not."""
    constraints = found.answer.constraints
    pieces = [piece for piece in constraints.unrecognised if piece not in talk.ignored]
    if not constraints:
        st.caption(say("nothing_understood", language))
    if not (constraints or pieces):
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="pills"):
        st.markdown(f"**{say('understood', language)}**", width="content")
        for number, one in enumerate(constraints.constraints):
            _pill(f"pill_{number}", _worded(one, language), say("strike", language), talk.without(one))
        for number, piece in enumerate(pieces):
            text = f":gray[? {views.plain(say('not_understood', language, what=piece))}]"
            _pill(f"piece_{number}", text, say("ignore", language), talk.ignoring(piece))


def _pill(key: str, text: str, help_text: str, struck: Talk) -> None:
    st.button(f"{text} ✕", key=key, help=help_text, on_click=_set, args=(struck,))


def _set(talk: Talk) -> None:
    st.session_state["talk"] = talk


def _worded(one: Constraint, language: Language) -> str:
    from fvrec.rerank.notes import describe

    sign, color = ("⊘", "red") if one.excluded else ("✓", "green")
    soft = f" ({say('soft', language)})" if one.strength == "soft" else ""
    seen = ":material/image: " if one.origin == "picture" else ""
    return f":{color}[{sign} {seen}{views.plain(describe(one, language))}{soft}]"


def side_by_side(found: Mapping[str, Listing | FvrecError], service: DemoService, language: Language) -> None:
    """A column each for Base, MMR and RL, with the variety of its list."""
    for column, (strategy, listing) in zip(st.columns(len(found)), found.items(), strict=True):
        with column, st.container(key=f"side_{strategy}"):
            st.markdown(f"### {STRATEGY_NAMES[strategy]}")
            if isinstance(listing, FvrecError):
                views.problem(listing, language)
                continue
            k, quality = len(listing.cards), listing.quality
            with st.container(horizontal=True):
                if quality.ild is not None:
                    st.metric(say("ild", language, k=k), f"{quality.ild:.3f}", width="content")
                st.metric(say("coverage", language, k=k), f"{quality.coverage:.3f}", width="content")
            for card in listing.cards:
                _small_card(card, service, language)


def _small_card(card: Card, service: DemoService, language: Language) -> None:
    title = card.ranked.item.title or card.ranked.item.item_id
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        picture = service.picture(card.ranked.item)
        if picture is not None:
            st.image(picture, width=88, alt=say("photo_of", language, title=title))
        with st.container():
            st.markdown(f"**{card.ranked.position}\\. {views.plain(title)}**")
            st.markdown(" ".join(views.card_badges(card, language)))
