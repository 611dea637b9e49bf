"""What shoppers type: the handwritten queries are as they were committed, and the parser reads them."""

from __future__ import annotations

import hashlib
from importlib import resources

import pytest

from fvrec.errors import FvrecError
from fvrec.rerank.constraints import LANGUAGES, Constraints
from fvrec.rerank.handwritten import SETS, handwritten
from fvrec.rerank.parser_metrics import parser_metrics
from fvrec.rerank.parser_score import agreement, exactly
from fvrec.rerank.summary import MetricContext

SHA256 = {
    "handwritten_queries": "84dbc6e707796995bf17cd7b065ed54a472229b10b6edd8c7db19adaf629fbf3",
    "fresh_queries": "1631938b8b74be178e2bbd41148e1965a9f7997e97eac447d2993ba1ac87ba11",
    "blind_open_queries": "9dcff98f442d50e4de1bea7b1f41ac86fd9d559ca0f7b5740f311a9ff07109f7",
    "blind_held_queries": "a7fd9d6380aa246eaf3c782e32992bfeb797db1d029531c3beacd33cbfc9693e",
    "blind_late_queries": "5b6e0bc12855681509d7f0e640f87a8d20671d5a97112f4e8b2c3c98eef9386e",
}


@pytest.mark.parametrize("name", SHA256)
def test_expectations_are_not_bent_to_the_parser(name: str) -> None:
    data = resources.files("fvrec.vocab").joinpath(f"{name}.jsonl").read_bytes()
    assert hashlib.sha256(data).hexdigest() == SHA256[name]


@pytest.mark.parametrize("language", LANGUAGES)
def test_handwritten_queries_are_read(language: str) -> None:
    cases = [case for case in handwritten("handwritten_queries") if case.language == language]
    assert len(cases) >= 55
    right = [exactly(case.expected, case.parsed()) for case in cases]
    assert sum(right) / len(cases) >= 0.90
    assert agreement([(case.expected, case.parsed()) for case in cases]).f1 >= 0.95


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", SETS)
def test_every_set_is_read_by_now(name: str, language: str) -> None:
    """A regression test: what these sets say of unseen requests is ``FIRST_READING``, which is lower."""
    cases = [case for case in handwritten(name) if case.language == language]
    assert len(cases) >= 20
    assert sum(exactly(case.expected, case.parsed()) for case in cases) / len(cases) >= 0.90


def test_other_sets_are_refused() -> None:
    with pytest.raises(FvrecError):
        handwritten("words")


def test_agreement_by_hand() -> None:
    expected = Constraints.of({"color": ["blue", "white"]}, {"pattern": ["striped"]})
    parsed = Constraints.of({"color": ["blue"], "pattern": ["striped"]})
    both = agreement([(expected, parsed)])
    assert (both.shared, both.parsed, both.expected) == (1, 2, 3)
    assert both.f1 == 2 / 5
    assert agreement([(expected, parsed)], "color").f1 == 2 / 3
    assert agreement([(expected, parsed)], "fit").f1 == 1.0
    assert not exactly(expected, parsed)
    assert exactly(expected, Constraints.of({"color": ["white", "blue"]}, {"pattern": ["striped"]}, "zh"))


def test_metric_rows_hold_the_same_numbers() -> None:
    context = MetricContext("embedded", "test", "smoke", "lora", "image", "raw")
    rows = {(row.metric, row.slice, row.field): row for row in parser_metrics([], context=context, seed=0)}
    cases = [case for case in handwritten("fresh_queries") if case.language == "zh"]
    row = rows["parser_exact_match", "queries=fresh,language=zh", ""]
    assert row.value == pytest.approx(sum(exactly(case.expected, case.parsed()) for case in cases) / 20)
    assert row.n == 20
    assert (row.stage, row.strategy, row.source) == ("rerank", "parser", "embedded")
    assert rows["parser_f1", "queries=handwritten", "color"].value > 0.9
    assert not any("generated" in name for _, name, _ in rows)
