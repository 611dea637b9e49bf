"""What the shop shows: figures of the list, and product cards.

Titles and requests are other people's text: they are escaped wherever Markdown or HTML would read them.
"""

from __future__ import annotations

import html
import json
import logging
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import streamlit as st

from app.words import MODEL_NAMES, field_word, say, value_word
from fvrec.errors import FvrecError
from fvrec.schema import FIELDS, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from app.listing import Card, Listing, ListQuality, Query
    from app.service import DemoService
    from fvrec.config import Settings
    from fvrec.records import Item, Prediction
    from fvrec.rerank.constraints import Language

_LOG = logging.getLogger(__name__)
_STYLE = """<style>
.stMainBlockContainer { padding-top: 3.5rem; }
.st-key-cards, .st-key-gallery, .st-key-shelf { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 15rem), 1fr)); }
.st-key-cards > *, .st-key-gallery > *, .st-key-shelf > * { width: 100%; min-width: 0; }
.st-key-cards img { border-radius: .5rem; width: 100%; }
.st-key-pills button { min-height: 1.9rem; padding: 0 .6rem; border-radius: 1rem; }
a[data-testid]:focus-visible { outline: 2px solid currentColor; outline-offset: -2px; }
.stMainBlockContainer { max-width: 90rem; }
@media (max-width: 640px) { .stMainBlockContainer { padding-left: 1rem; padding-right: 1rem; } }
table.attributes { width: 100%; border-collapse: collapse; font-size: .875rem; }
table.attributes th { text-align: left; font-weight: 600; }
table.attributes td, table.attributes th { padding: .15rem .25rem; border-bottom: 1px solid rgba(128, 128, 128, .25); }
table.attributes meter { width: 3.5rem; vertical-align: middle; }
</style>"""
_STATED = 4
"""Attributes on a card when the request names none."""


def style() -> None:
    """The few rules that Streamlit has no option for; colours stay the theme's."""
    st.html(_STYLE)


@contextmanager
def said_in_words(language: Language) -> Iterator[None]:
    """An error that the visitor can mend is said in words; any other goes to the log. No traceback is shown.

    A fragment needs its own: when it alone is run again, nothing of the page stands around it.
    """
    try:
        yield
    except FvrecError as error:
        problem(error, language)
    except Exception:
        _LOG.exception("the page failed")
        st.error(say("broken", language))


def problem(error: FvrecError, language: Language) -> None:
    """An error that the visitor can mend: what is wrong, and below it where and what is allowed."""
    st.warning(error.what[:1].upper() + error.what[1:] + ".")
    rest = str(error).removeprefix(error.what).strip("; ")
    if rest:
        st.caption(plain(rest))


def plain(text: str) -> str:
    """Text with every character escaped that Markdown (or Streamlit's ``:icon:`` and ``$math$``) would act on."""
    return re.sub(r"([\\`*_{}\[\]()<>#+\-.!|$:~&])", r"\\\1", " ".join(text.split()))


def reference(thumbnail: bytes, language: Language) -> None:
    """The visitor's own picture, so that it is clear that it counts."""
    st.image(thumbnail, width=120, alt=say("picture_used", language), caption=say("picture_used", language))


def listing(found: Listing, query: Query, service: DemoService, language: Language) -> None:
    """Notes, figures and the cards."""
    for note in found.answer.notes:
        if note.kind != "unrecognised":  # a chip says that already
            st.info(plain(note.text))
    _reading_notice(found, query.model, language)
    _figures(found, language)
    with st.container(key="cards"):
        for one in found.cards:
            card(one, query, service, language)


def _badge(color: str, text: str) -> str:
    return f":{color}-badge[{plain(text)}]"


def _reading_notice(found: Listing, model: str, language: Language) -> None:
    if found.readable == 0:
        st.info(say("nothing_read", language, model=MODEL_NAMES[model], n=found.candidates))
    elif found.readable < found.candidates:
        st.caption(say("partly_read", language, bad=found.candidates - found.readable, n=found.candidates))


def _figures(found: Listing, language: Language) -> None:
    k, own = len(found.cards), found.quality
    base: ListQuality | None = None if found.answer.strategy == "base_rank" else found.base
    with st.container(horizontal=True, key="figures"):
        if own.ild is not None:
            _figure("ild", own.ild, base.ild if base else None, k, language)
        _figure("coverage", own.coverage, base.coverage if base else None, k, language)
        st.metric(say("choice", language), found.candidates, help=say("choice_help", language), width="content")


def _figure(name: str, value: float, base: float | None, k: int, language: Language) -> None:
    st.metric(
        say(name, language, k=k),
        f"{value:.3f}",
        delta=None if base is None else f"{value - base:+.3f}",
        delta_description=None if base is None else say("versus_base", language),
        help=say(f"{name}_help", language),
        width="content",
    )


def card(one: Card, query: Query, service: DemoService, language: Language) -> None:
    """A product: photo, title, badges, the reason, and on demand its attributes, JSON, evidence and likes of it."""
    ranked = one.ranked
    title, picture = ranked.item.title or ranked.item.item_id, service.picture(ranked.item)
    with st.container(border=True, key=f"card_{ranked.position}"):
        if picture is None:
            st.caption(say("no_photo", language))
        else:
            st.image(picture, width="stretch", alt=say("photo_of", language, title=title))
        st.markdown(f"**{ranked.position}\\. {plain(title)}**")
        st.markdown(" ".join(card_badges(one, language)))
        st.caption(f"**{say('why', language)}** {plain(ranked.explanation)}")
        _details(one, language)
        with st.container(horizontal=True):
            if picture is not None:
                st.button(
                    say("more_like", language),
                    key=f"more_{ranked.item.item_id}",
                    type="tertiary",
                    on_click=_like,
                    args=(service.photo, ranked.item),
                )
                _evidence(one, query, service, language)


@st.fragment
def _details(one: Card, language: Language) -> None:
    """On demand, as a list's tables and answers weigh more than its cards; no other card is drawn again."""
    key = f"details_{one.ranked.item.item_id}"
    with st.expander(say("details", language), key=key, on_change="rerun") as details, said_in_words(language):
        if details.open:
            st.html(_attribute_table(one, language))
            raw_answer(one.prediction, language)


def _like(photo: Callable[[Item], bytes], item: Item) -> None:
    from app.talk import Talk

    talk: Talk = st.session_state.get("talk") or Talk()
    try:
        st.session_state["talk"] = talk.like(photo(item))
    except FvrecError as error:
        st.toast(plain(str(error)))


@st.fragment
def _evidence(one: Card, query: Query, service: DemoService, language: Language) -> None:
    """On demand, as it takes the model: where on the photo a value was read. No other card is drawn again."""
    item = one.ranked.item
    where = st.popover(say("evidence", language), key=f"where_{item.item_id}", on_change="rerun")
    with where, said_in_words(language):
        if not where.open:
            return
        field = st.selectbox(
            say("evidence_field", language),
            FIELDS,
            index=None,
            key=f"evidence_{item.item_id}",
            format_func=lambda name: field_word(name, language),
            placeholder=say("evidence_none", language),
        )
        if field is None:
            return
        drawn = service.evidence(query, item, field)
        if drawn is None:
            st.caption(say("evidence_missing", language))
            return
        words = say("evidence_of", language, field=field_word(field, language), title=item.title)
        st.image(drawn, width="stretch", alt=words, caption=plain(words))


def card_badges(card: Card, language: Language) -> list[str]:
    """Attributes that were asked for, as they stand; or the surest ones where none was."""
    ranked = card.ranked
    asked = (("green", "✓", ranked.matched), ("red", "✕", ranked.conflicting), ("gray", "?", ranked.unknown))
    badges = [
        _badge(color, f"{sign} {_reading(card, field, language)}") for color, sign, fields in asked for field in fields
    ]
    known = [field for field in FIELDS if ranked.attributes[field] != UNKNOWN]
    surest = sorted(known, key=lambda field: -ranked.confidence[field])[:_STATED]
    return badges or [_badge("blue", _reading(card, field, language)) for field in FIELDS if field in surest]


def _reading(card: Card, field: str, language: Language) -> str:
    value = card.ranked.attributes[field]
    text = f"{field_word(field, language)}: {value_word(field, value, language)}"
    return text if value == UNKNOWN else f"{text} {card.ranked.confidence[field]:.0%}"


def _attribute_table(card: Card, language: Language) -> str:
    head = "".join(f"<th scope='col'>{say(name, language)}</th>" for name in ("attribute", "value", "confidence"))
    rows = []
    for field in FIELDS:
        value, sure = card.ranked.attributes[field], card.ranked.confidence[field]
        words = [html.escape(word) for word in (field_word(field, language), value_word(field, value, language))]
        meter = f"<meter min='0' max='1' value='{sure:.2f}' aria-label='{words[0]}'></meter> {sure:.2f}"
        rows.append(f"<tr><td>{words[0]}</td><td>{words[1]}</td><td>{meter}</td></tr>")
    return f"<table class='attributes'><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def raw_answer(prediction: Prediction, language: Language) -> None:
    """What the model wrote, and what was wrong with it."""
    st.caption(say("raw_output", language))
    if prediction.schema_valid:
        st.code(json.dumps(json.loads(prediction.raw_output), ensure_ascii=False, indent=2), language="json")
    else:
        st.code(prediction.raw_output, language=None, wrap_lines=True)
        st.caption(plain(say("invalid_output", language, error=prediction.error)))


def photo(settings: Settings, path: str, title: str, language: Language) -> None:
    """A product's photo by its place in the warehouse, or a word where it is gone."""
    from app.pictures import card_picture

    picture = card_picture(settings.root / path)
    if picture is None:
        st.caption(say("no_photo", language))
    else:
        st.image(picture, width="stretch", alt=say("photo_of", language, title=title))
