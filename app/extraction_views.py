"""The parts of the extraction page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from app import frame, tables, views
from app.words import MODEL_NAMES, field_word, say, value_word
from fvrec.config import Settings
from fvrec.errors import FvrecError
from fvrec.records import MODELS
from fvrec.schema import FIELDS
from warehouse import questions
from warehouse.read import Warehouse

if TYPE_CHECKING:
    from fvrec.records import Prediction
    from fvrec.rerank.constraints import Language

_FAVOURITE = ("lora", "image_title", "constrained")
_GALLERY = 12


def variant(warehouse: Warehouse, source: str, language: Language) -> tuple[str, ...] | None:
    """Model, inputs and mode to look at; None when nothing has been read."""
    found = [tuple(map(str, row)) for row in questions.extraction_variants(warehouse, source).rows]
    if not found:
        return None
    return st.selectbox(
        say("variant", language),
        found,
        index=found.index(_FAVOURITE) if _FAVOURITE in found else 0,
        format_func=lambda one: f"{MODEL_NAMES.get(one[0], one[0])} · {one[1]} · {one[2]}",
        key="variant",
    )


def confusion(warehouse: Warehouse, source: str, chosen: Sequence[str], settings: Settings, language: Language) -> None:
    """The heat map of one field: rows are what is true."""
    import altair as alt

    fields = [row[3] for row in questions.confusion_variants(warehouse, source).rows if tuple(row[:3]) == tuple(chosen)]
    if not fields:
        st.info(say("no_confusion", language))
        return
    field = st.selectbox(
        say("attribute", language), fields, format_func=lambda one: field_word(one, language), key="confusion_field"
    )
    cells = tables.frame_of(questions.confusion(warehouse, source, chosen, field))
    for column in ("true_value", "predicted_value"):
        cells[column] = [_read_as(field, value, language) for value in cells[column]]
    made = (
        alt.Chart(cells)
        .mark_rect()
        .encode(
            x=alt.X("predicted_value:N", title=say("predicted", language)),
            y=alt.Y("true_value:N", title=say("true", language)),
            color=alt.Color("share:Q", title=say("share", language), scale=alt.Scale(domain=[0, 1])),
            tooltip=["true_value", "predicted_value", "n", alt.Tooltip("share", format=".2f")],
        )
    )
    tables.chart(made, say("confusion_alt", language, field=field_word(field, language)))


def _read_as(field: str, value: str, language: Language) -> str:
    from fvrec.evaluation.scores import INVALID

    return say("no_answer", language) if value == INVALID else value_word(field, value, language)


def reliability(
    warehouse: Warehouse, source: str, chosen: Sequence[str], settings: Settings, language: Language
) -> None:
    """How often an answer of some confidence is right; the diagonal is perfect."""
    import altair as alt

    points = tables.frame_of(questions.reliability(warehouse, source, chosen))
    if points.empty:
        st.info(say("no_reliability", language))
        return
    line = (
        alt.Chart(points)
        .mark_line(point=True)
        .encode(
            x=alt.X("confidence:Q", scale=alt.Scale(domain=[0, 1]), title=say("confidence", language)),
            y=alt.Y("accuracy:Q", scale=alt.Scale(domain=[0, 1]), title=say("right", language)),
            color=alt.Color("kind:N", title=None),
            tooltip=["kind", alt.Tooltip("confidence", format=".2f"), alt.Tooltip("accuracy", format=".2f"), "n"],
        )
    )
    ideal = alt.Chart(alt.Data(values=[{"x": 0, "y": 0}, {"x": 1, "y": 1}])).mark_line(strokeDash=[4, 4], color="gray")
    tables.chart(ideal.encode(x="x:Q", y="y:Q") + line, say("reliability_alt", language))


def failures(warehouse: Warehouse, source: str, chosen: Sequence[str], settings: Settings, language: Language) -> None:
    """Photos of the worst failures of one class, with what went wrong."""
    classes = dict(questions.failure_classes(warehouse, source, chosen).rows)
    if not classes:
        st.success(say("no_failures", language))
        return
    kind = st.selectbox(
        say("class", language), list(classes), format_func=lambda one: f"{one} ({classes[one]})", key="failure_class"
    )
    with st.container(key="gallery"):
        for item_id, title, path, detail, raw in questions.failures(warehouse, source, chosen, kind, _GALLERY).rows:
            with st.container(border=True):
                views.photo(settings, path, title or item_id, language)
                st.caption(f"**{views.plain(title or item_id)}**  \n{views.plain(detail or '')}")
                with st.expander(say("raw_output", language)):
                    st.code(raw, language=None, wrap_lines=True)


def upload(source: str, settings: Settings, language: Language) -> None:
    """A photo of the visitor's: what the model writes, what the parser says, what it chooses within the schema."""
    from app.pictures import MAX_UPLOAD_MB

    with st.container(horizontal=True, vertical_alignment="bottom"):
        model = st.segmented_control(
            say("model", language),
            MODELS,
            default="lora",
            required=True,
            format_func=MODEL_NAMES.__getitem__,
            key="upload_model",
        )
        title = st.text_input(say("title", language), key="upload_title", max_chars=200)
    file = st.file_uploader(
        say("photo", language),
        type=["jpg", "jpeg", "png", "webp"],
        max_upload_size=MAX_UPLOAD_MB,
        key="upload",
        help=say("picture_help", language),
    )
    if file is None:
        return
    try:
        service = frame.service(settings)
        left, right = st.columns([1, 2])
        left.image(service.thumbnail(file.getvalue()), alt=say("your_photo", language), width="stretch")
        with st.spinner(say("reading", language)):
            found = service.read_upload(source, model or "lora", file.getvalue(), title.strip())
    except FvrecError as error:
        views.problem(error, language)
        return
    with right:
        if found is None:
            st.info(say("evidence_missing", language))
            return
        st.markdown(f"**{say('raw_output', language)}**")
        st.code(found.raw.raw_output, language=None, wrap_lines=True)
        if found.raw.schema_valid:
            st.success(say("parse_ok", language))
        else:
            st.warning(views.plain(say("invalid_output", language, error=found.raw.error)))
        st.markdown(f"**{say('constrained_output', language)}**")
        _readings(found.constrained, language)
        with st.expander("JSON"):
            st.code(json.dumps(json.loads(found.constrained.raw_output), indent=2), language="json")


def _readings(read: Prediction, language: Language) -> None:
    import pandas as pd

    rows = [
        (field_word(field, language), value_word(field, read.attributes[field], language), read.confidence[field])
        for field in FIELDS
    ]
    names = [say(name, language) for name in ("attribute", "value", "confidence")]
    st.dataframe(
        pd.DataFrame(rows, columns=names),
        hide_index=True,
        column_config={names[2]: st.column_config.ProgressColumn(min_value=0, max_value=1, format="%.2f")},
        alt=say("constrained_output", language),
    )
