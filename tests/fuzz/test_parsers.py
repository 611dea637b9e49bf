"""The parsers of other people's text under Hypothesis: any input is an answer or a refusal, never a crash.

A sample runs always; ``FVREC_FUZZ=full python -m pytest tests/fuzz/test_parsers.py`` tries 105,000 inputs.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fvrec.schema import FIELDS, VALUES, render_answer
from tests.fuzz.properties import (
    a_mapping_is_understood_or_refused,
    a_request_is_read,
    a_table_is_read_or_refused,
    an_answer_is_judged,
)
from tests.fuzz.test_bad_input import FULL, MAPPING

pytestmark = pytest.mark.timeout(6 * 3600 if FULL else 900)  # on a busy machine all of them take an hour

INPUTS = {"answers": 50_000, "requests": 25_000, "tables": 20_000, "mappings": 10_000}
SAMPLE = 100
"""So many inputs of each when not all are asked for."""
FRAGMENTS = (
    *("blue", "dress", "not", "no", "without", "but", "or", "and", "under", "for men", "if possible", "except"),
    *("like this", "不要", "红色", "连衣裙", "或者", "的", "最好", "０", "👗"),
    *(",", ".", "!", "'", '"', ";--", "<b>", "\x00", "\u202e", " "),
)


def inputs(kind: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """How many examples a parser gets. Without a database of failures: each run is a run of its own."""
    return settings(
        max_examples=INPUTS[kind] if FULL else SAMPLE,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
    )


def _valid_answer(draw: st.DrawFn) -> str:
    # One number in place of twenty: what Hypothesis would shrink here is not what breaks a parser.
    random = Random(draw(st.integers(0, 2**32)))
    values = {field: random.choice(VALUES[field]) for field in FIELDS}
    return render_answer(values, {field: random.random() for field in FIELDS})


@st.composite
def answers(draw: st.DrawFn) -> str:
    """JSON of any shape, text of any kind, and valid answers with a piece cut out, doubled or replaced."""
    kind = draw(st.integers(0, 3))
    if kind == 0:
        return draw(st.text(max_size=200))
    if kind == 1:
        leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
        tree = st.recursive(
            leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*FIELDS, "x"]), inner)
        )
        return json.dumps(draw(tree))
    text = _valid_answer(draw)
    if kind == 2:
        return draw(st.sampled_from(["", " ", "\ufeff", "[" * 5000, '{"a":' * 3000])) + text
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 20)))
    put = draw(st.sampled_from(["", text[start:end] * 2, "NaN", "1e999", "9" * 5000, '"', "}", "\\u0000"]))
    return text[:start] + put + text[end:]


@inputs("answers")
@given(answers())
def test_any_answer_is_judged(text: str) -> None:
    an_answer_is_judged(text)


requests = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=6), max_size=14).map(" ".join) | st.text(max_size=120)


@inputs("requests")
@given(requests, st.none() | st.sampled_from(["blue dress", "不要红色的裙子", "cotton shirt for men"]))
def test_any_request_is_read(text: str, standing: str | None) -> None:
    a_request_is_read(text, standing)


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    """Bytes of any kind, or a table whose cells and separators are chosen badly."""
    if draw(st.booleans()):
        return draw(st.sampled_from([b"", b"\xef\xbb\xbf", b"\xff\xfe", b"id,title\n"])) + draw(st.binary(max_size=200))
    cell = st.text(max_size=8) | st.sampled_from(['"', '""', "a\nb", '"x', "\x00", "NaN", ",", "\t", "'", "=1+1"])
    rows = draw(st.lists(st.lists(cell, min_size=1, max_size=4), max_size=8))
    joined = draw(st.sampled_from([",", ";", "\t", "|"]))
    text = "\n".join([joined.join(["id", "title"]), *(joined.join(row) for row in rows)])
    return text.encode(draw(st.sampled_from(["utf-8", "utf-16", "gb18030", "utf-8-sig"])), "replace")


@pytest.fixture(scope="module")
def folder() -> Any:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as made:
        yield Path(made)


@inputs("tables")
@given(data=tables())
def test_any_table_is_read_or_refused(folder: Path, data: bytes) -> None:
    a_table_is_read_or_refused(folder / "table.csv", data)


@st.composite
def mappings(draw: st.DrawFn) -> str:
    """The mapping of the shop of these tests with a piece cut out, doubled or replaced; or text of any kind."""
    if draw(st.integers(0, 4)) == 0:
        return draw(st.text(max_size=200))
    start = draw(st.integers(0, len(MAPPING)))
    end = draw(st.integers(start, min(len(MAPPING), start + 25)))
    put = st.sampled_from(
        ["", MAPPING[start:end] * 2, *'"[={\x00é', "1", "true", "[[table]]", "../x", "{id!r}", "{image:9999}"]
    )
    return MAPPING[:start] + draw(put | st.text(max_size=5)) + MAPPING[end:]


@inputs("mappings")
@given(text=mappings())
def test_any_mapping_is_understood_or_refused(folder: Path, text: str) -> None:
    a_mapping_is_understood_or_refused(folder / "mapping.toml", text.encode("utf-8", "surrogatepass"))
