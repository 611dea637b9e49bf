"""Reports: what is in the rows is in the text, and data cannot break out of it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fvrec.records import AttributeValue, Confusion, CurvePoint, Item, Metric, Prediction, Quarantined, Ranking, Run
from fvrec.report import ReportData, render_all, rl_report
from fvrec.report_cases import CONFUSED, failures, spread, worked_lists
from fvrec.report_plots import profile_plots
from fvrec.report_results import results_page
from fvrec.report_tables import cell, pivot
from fvrec.rerank.summary import ATTAINABLE, TUNING
from fvrec.schema import FIELDS, UNKNOWN
from fvrec.summary_table import summary

START = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)
BLUE = dict.fromkeys(FIELDS, UNKNOWN) | {"category": "dress", "color": "blue"}


def _item(item_id: str, title: str = "Blue dress") -> Item:
    attributes = {
        name: AttributeValue(value, "unknown" if value == UNKNOWN else "source") for name, value in BLUE.items()
    }
    return Item(item_id, "embedded", "g", "test", f"images/{item_id}.jpg", "ab" * 32, title, "", {}, attributes)


def _answer(item_id: str, **changed: str) -> Prediction:
    values = BLUE | changed
    return Prediction(item_id, "lora", "image", "raw", "{}", True, True, "", "", values, dict.fromkeys(FIELDS, 0.9))


def _invalid(item_id: str, error_class: str = "not_json", raw_output: str = "???") -> Prediction:
    return Prediction(item_id, "base", "image", "raw", raw_output, False, False, "not JSON: nothing", error_class)


def _run(stage: str) -> Run:
    return Run(
        f"{stage}-1", "sft", stage, "smoke", "embedded", "c0de" * 16, {"seed": 7}, START, START + timedelta(seconds=9)
    )


@pytest.fixture
def data() -> ReportData:
    metric = Metric(stage="extraction", metric="micro_f1", value=0.5, split="test", inputs="image", mode="raw")
    difference = {"ci_low": 0.1, "ci_high": 0.3, "params": {"against": "mmr"}}
    reward = Metric("rl", "true_reward_difference", 0.05, ci_low=-0.01, ci_high=0.11, k=10, strategy="rl", n=90)
    return ReportData(
        source="embedded",
        preset="smoke",
        runs=[_run("ingest"), _run("lora")],
        commands={"ingest": "fvrec ingest --seed 7", "lora": "fvrec sft --seed 7", "sft": "fvrec sft --seed 7"},
        items={"a": _item("a"), "b": _item("b", "Evil | title <b>\n`x`")},
        quarantine=[Quarantined("embedded", "images/c.jpg", "image_unreadable", "truncated")],
        metrics=[
            Metric(stage="ingest", metric="rows_in", value=3),
            Metric(stage="ingest", metric="items", value=2, split="test"),
            *(Metric(stage="ingest", metric="supervised", value=1.0, field=name) for name in ("category", "color")),
            Metric(stage="ingest", metric="value_share", value=0.25, field="color", slice="blue"),
            Metric(stage="ingest", metric="value_count", value=2, field="color", slice="blue"),
            replace(metric, model="base", value=0.0),
            replace(metric, model="lora", value=0.875, ci_low=0.8, ci_high=0.9),
            replace(metric, model="lora", metric="accuracy", field="color", value=0.75),
            replace(metric, model="base", metric="failures", slice="not_json", value=17),
            Metric(stage="rerank", metric="constraint_satisfaction", k=10, strategy="rerank", value=0.9),
            Metric(stage="rl", metric="ndcg", k=10, strategy="mmr", value=0.7, params={"trade_off": 0.5}),
            Metric(stage="rl", metric="ndcg", k=10, strategy="rl", value=0.8),
            Metric(stage="rl", metric="ndcg_difference", k=10, strategy="rl", value=0.2, **difference),
            replace(reward, params={"against": "greedy"}),
        ],
        predictions={"base": [_invalid("b"), _invalid("a")], "lora": [_answer("a"), _answer("b", color="red")]},
        confusions=[Confusion("lora", "image", "raw", "test", "color", "blue", "red", 4)],
        curves=[CurvePoint("rl", "mmr_tradeoff", 0.7, 0.3, {"trade_off": 0.5})],
        rankings={"rerank": [Ranking("q1", "rerank", 1, "a", 1.5, "blue dress: matches", {"color": "blue"})]},
    )


def test_every_file_is_made_and_twice_the_same(data: ReportData) -> None:
    made = render_all(data)
    assert set(made) == {
        *("data_profile.md", "extraction_compare.md", "extraction_cases_base.md", "rerank_report.md", "rl_report.md"),
        *("README_run.md", "extraction_base.json", "extraction_sft.json", "extraction_lora.json"),
    }
    assert render_all(data) == made
    shuffled = {model: list(reversed(rows)) for model, rows in data.predictions.items()}
    again = render_all(replace(data, predictions=shuffled, quarantine=list(reversed(data.quarantine))))
    assert again == made


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("data_profile.md", "| rows_in |  | 3 |"),
        ("data_profile.md", "| blue | 2 | 0.250 |"),
        ("data_profile.md", "| image_unreadable | images/c.jpg | truncated |"),
        ("extraction_compare.md", "| micro_f1 | 0.000 | 0.875 [0.800, 0.900] |"),
        ("extraction_compare.md", "| color | accuracy | 0.750 |"),
        ("extraction_compare.md", "| failures |  | not_json | 17 |"),
        ("extraction_compare.md", "| lora | image | raw | color | blue | red | 4 |"),
        ("extraction_compare.md", "color: blue read as red"),
        ("extraction_cases_base.md", "### test, raw, image\n\n| slice | base |\n| --- | ---: |\n| not_json | 17 |"),
        ("extraction_cases_base.md", "Some of them follow (2)"),
        ("rerank_report.md", "| constraint_satisfaction@10 | 0.900 |"),
        ("rerank_report.md", "| 1 | a | Blue dress | 1.500 | blue dress: matches |"),
        ("rl_report.md", "| ndcg@10 | 0.700 | 0.800 |"),
        ("rl_report.md", "| rl | ndcg_difference@10 | 0.200 [0.100, 0.300] |"),
        (
            "rl_report.md",
            "Training adds 0.050 [-0.010, 0.110] true reward per list of 10 (`rl` minus `greedy`",
        ),
        ("rl_report.md", "no gain of training over the rule it starts from is shown"),
        ("rl_report.md", "| 0.700 | 0.300 | trade_off=0.5 |"),
        ("README_run.md", "fvrec ingest --seed 7\nfvrec sft --seed 7\n```"),
        ("README_run.md", "| ingest | `ingest-1` | 2025-03-01 12:00:00 | 9.0 | `c0dec0dec0de` |"),
    ],
)
def test_what_is_in_the_rows_is_in_the_report(data: ReportData, file: str, text: str) -> None:
    assert text in render_all(data)[file]


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (0.993, "the largest tried at which these lists"),
        (0.91, "the smallest tried: no weight keeps 0.990 of"),
        (None, ""),
    ],
)
def test_whether_the_policys_own_weight_keeps_what_was_asked_is_said(
    data: ReportData, kept: float | None, said: str
) -> None:
    rows = list(data.metrics)
    if kept is not None:
        own: dict[str, Any] = {"stage": "rl", "split": "val", "k": 10, "strategy": "rl_swap"}
        rows.append(Metric(metric="own_weight", value=0.02, **own))
        rows.append(Metric(metric="own_weight_ndcg_kept", value=kept, params={"asked": 0.99}, **own))
    text = " ".join(rl_report(replace(data, metrics=rows)).split())
    assert said in text
    assert ("own lambda = mu. That is 0.020," in text) is (kept is not None)
    if kept is not None:
        assert f"(here {kept:.3f})" in text


def test_extraction_lines_hold_answer_judgement_and_labels(data: ReportData) -> None:
    lines = [json.loads(line) for line in render_all(data)["extraction_lora.json"].splitlines()]
    assert [line["item_id"] for line in lines] == ["a", "b"]
    assert lines[1]["attributes"]["color"] == "red"
    assert lines[1]["labels"]["color"] == "blue"
    assert lines[0]["schema_valid"] is True
    assert render_all(data)["extraction_sft.json"] == ""


def test_a_title_cannot_break_out_of_its_cell(data: ReportData) -> None:
    assert cell("a | b\n<script> `c`") == "a \\| b &lt;script&gt; 'c'"
    text = render_all(data)["extraction_cases_base.md"]
    assert "Evil \\| title &lt;b&gt; 'x'" in text
    assert "<b>" not in text


def test_failures_put_invalid_answers_first_and_pass_over_right_ones(data: ReportData) -> None:
    answers = [_answer("a"), _answer("b", color="red"), _invalid("a")]
    found = failures(answers, data.items, data.supervised())
    assert [(case.kind, case.prediction.item_id) for case in found] == [("not_json", "a"), (CONFUSED, "b")]
    assert found[1].wrong == {"color": ("blue", "red")}


def test_only_what_the_evaluation_scores_is_a_failure(data: ReportData) -> None:
    red = [_answer("b", color="red")]
    assert failures(red, data.items, ["color"])
    assert not failures(red, data.items, ["category"])  # the source does not supervise color
    label = data.items["b"].attributes
    by_rule = replace(data.items["b"], attributes={**label, "color": AttributeValue("blue", "rule")})
    assert not failures(red, {"b": by_rule}, ["color"])
    seen = replace(data.items["b"], split="val")
    assert not failures([*red, _invalid("b")], {"b": seen}, ["color"])


def test_kinds_of_failure_take_turns() -> None:
    items = {str(number): _item(str(number)) for number in range(6)}
    answers = [*(_invalid(str(number)) for number in range(4)), _answer("4", color="red"), _invalid("5", "wrong_keys")]
    kinds = [case.kind for case in spread(failures(answers, items, FIELDS), 4)]
    assert sorted(kinds[:3]) == [CONFUSED, "not_json", "wrong_keys"]
    assert kinds[3] == "not_json"


def test_lists_without_explanations_are_no_worked_cases(data: ReportData) -> None:
    plain = [Ranking("q2", "rl", 1, "a", 1.0)]
    assert [case.query_id for case in worked_lists([*data.rankings["rerank"], *plain], data.items)] == ["q1"]


def test_a_pivot_shows_every_metric_of_a_cell_and_marks_what_is_absent() -> None:
    rows = [
        Metric(stage="s", metric="a", model="lora", value=1.5),
        Metric(stage="s", metric="a", model="lora", value=2.5),
        Metric(stage="s", metric="b", model="base", value=float("nan")),
    ]
    table = pivot(rows, row="metric", column="model")
    assert table.header == ["metric", "base", "lora"]
    assert [list(row) for row in table.rows] == [["a", "–", "1.500 / 2.500"], ["b", "–", "–"]]


def test_the_summary_of_a_run_has_its_three_parts(data: ReportData) -> None:
    rows = {row.subject: row.values for row in summary(data.metrics)}
    assert rows["E2 lora, image"]["micro_f1"] == "0.875"
    assert rows["rerank"]["constraint_satisfaction@10"] == "0.900"
    assert rows["rl"]["ndcg@10"] == "0.800"
    assert summary([]) == []


@pytest.mark.parametrize(
    ("source", "config", "command"),
    [
        ("embedded", {"seed": 7, "raw": "/home/me/drawn"}, "fvrec run --source embedded --preset smoke --seed 7"),
        (
            "myntra",
            {"seed": 8, "limit": 100, "raw": "/home/me/myntra"},
            "fvrec run --source myntra --preset smoke --seed 8 --limit 100 --raw data/raw/myntra",
        ),
    ],
)
def test_the_results_page_names_no_folder_of_this_machine(
    data: ReportData, source: str, config: dict[str, object], command: str
) -> None:
    runs = [replace(run, source=source, config=config) for run in data.runs]
    commands = {"ingest": f"fvrec ingest --source {source} --raw /home/me/{source} --root /home/me/root"}
    page = results_page(replace(data, source=source, runs=runs, commands=commands))
    assert f"```sh\n{command}\n" in page
    assert "/home" not in page


@pytest.mark.parametrize(("pool", "command"), [(1, "fvrec run"), (4, "FVREC_POOL=4 fvrec run")])
def test_the_results_command_pools_image_tokens_as_the_run_did(data: ReportData, pool: int, command: str) -> None:
    ingest = replace(data.runs[0], config={"seed": 7})
    features = replace(ingest, stage="features", config={"pool": pool})
    page = results_page(replace(data, runs=[ingest, features]))
    assert f"```sh\n{command} --source" in page


def test_the_results_page_keeps_lists_feeds_and_p_values_apart(data: ReportData) -> None:
    own: dict[str, Any] = {"stage": "rl", "k": 10, "strategy": "rl"}
    rows = [
        Metric(metric="true_reward", value=2.5, **own),
        Metric(metric="true_reward", value=1.5, mode="feed", **own),
        Metric(metric="true_reward_difference", value=0.25, params={"against": "msd"}, **own),
        Metric(metric="true_reward_p_holm", value=0.125, params={"against": "msd"}, **own),
    ]
    run = replace(data.runs[0], config={"seed": 7})
    lists, feed = results_page(replace(data, metrics=rows, runs=[run])).split("### Feed")
    assert "| true_reward@10 | 2.500 |" in lists
    assert "| rl | against: msd | 0.250 | 0.125 |" in lists
    assert "| true_reward@10 | 1.500 |" in feed
    assert "### Feed" not in results_page(replace(data, metrics=rows[:1], runs=[run]))


def test_the_profiles_pictures_follow_the_rows() -> None:
    rows = [
        Metric(stage="ingest", metric="rows_in", value=10),
        Metric(stage="ingest", metric="items", value=8),
        Metric(stage="ingest", metric="items", value=8, split="train"),
        Metric(stage="ingest", metric="quarantined", value=2, slice="image_missing"),
        Metric(stage="ingest", metric="value_share", value=0.25, field="color", slice="red"),
    ]
    drawn = profile_plots(rows)
    assert sorted(drawn) == ["data_profile_fields.png", "data_profile_rows.png"]
    assert profile_plots(rows) == drawn
    changed = profile_plots([*rows[:-1], replace(rows[-1], value=0.75)])
    assert changed["data_profile_fields.png"] != drawn["data_profile_fields.png"]
    assert changed["data_profile_rows.png"] == drawn["data_profile_rows.png"]
    assert all(picture.startswith(b"\x89PNG") for picture in drawn.values())
    assert profile_plots([]) == {}


def test_the_rerank_report_shows_every_slice_and_how_the_weights_were_chosen(data: ReportData) -> None:
    def row(name: str, value: float, slice_: str = "", **more: Any) -> Metric:
        return Metric(stage="rerank", metric=name, value=value, slice=slice_, k=10, strategy="rerank", **more)

    point = {"alpha": 4.0, "beta": 0.5, "expected": True, "strict": False}
    rows = [
        row("constraint_satisfaction", 0.81, ATTAINABLE),
        row("constraint_satisfaction", 0.72, "constraints=3"),
        row("constraint_satisfaction", 0.63, "language=zh"),
        row("constraint_satisfaction", 0.54, "candidates=recall"),
        row("constraint_satisfaction_difference", 0.45, "language=en", ci_low=0.4, ci_high=0.5),
        row("tuning_constraint_satisfaction", 0.36, TUNING, params=point),
        row("tuning_chosen", 1.0, TUNING, params=point),
    ]
    text = render_all(replace(data, metrics=[*data.metrics, *rows]))["rerank_report.md"]
    sections = {part.split("\n", 1)[0]: part for part in text.split("\n## ")}
    for title, shown in (
        ("Requests that a list of ten can meet", "0.810"),
        ("By number of constraints", "0.720"),
        ("By language", "0.630"),
        ("By draw of candidates", "0.540"),
        ("Rerank minus Base", "0.450 [0.400, 0.500]"),
        ("Weights", "0.360"),
    ):
        assert shown in sections[title]
        assert sum(shown in part for part in sections.values()) == 1
    assert "α = 4.0" in sections["Weights"]
    assert "filter: no" in sections["Weights"]


def test_twenty_worked_requests_are_shown_as_the_rerank_lists_them(data: ReportData) -> None:
    made = [
        Ranking(f"q{number:02d}", strategy, 1, "a", 1.0, "a reason", {"color": "blue", "request": f"wish {number}"})
        for number in range(30)
        for strategy in ("base_rank", "rerank")
    ]
    text = render_all(replace(data, rankings={"rerank": made}))["rerank_report.md"]
    assert text.count("\n### ") == 20
    assert "(base_rank)" not in text
