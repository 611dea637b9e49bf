"""Every page beside the shop, and each of its controls, on a shop whose runs have left metrics and curves."""

from __future__ import annotations

import ast
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.listing import Query
from app.rankers import own_weight, slider
from app.service import DemoService
from app.words import WORDS
from fvrec.config import Settings
from fvrec.evaluation import evaluate
from fvrec.records import CurvePoint, Quarantined, Ranking
from fvrec.schema import FIELDS
from tests.app.conftest import png_bytes
from warehouse import write
from warehouse.db import publish
from warehouse.read import Warehouse

SCREENS = Path(__file__).parents[2] / "app" / "screens"
NAMES = tuple(sorted(file.stem for file in SCREENS.glob("[!_]*.py")))


@pytest.fixture(scope="module")
def scored_shop(demo_shop: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The demo shop with scores, confusions, reliability, a trade-off, a recorded list and a rejected row."""
    root = tmp_path_factory.mktemp("scored") / "shop"
    shutil.copytree(demo_shop.root, root, symlinks=True)
    settings = demo_shop.model_copy(update={"root": root})
    live, store = settings.database, Warehouse(settings.database)
    items = {item.item_id: item for item in store.items("embedded", ["test"])}
    for model in ("base", "sft", "lora"):
        run_id = f"extract_{model}"
        read = [one for one in store.predictions(run_id, model=model, inputs="image_title") if one.item_id in items]
        scored = evaluate(read, items, FIELDS, seed=7, split="test")
        metrics = [replace(row, source="embedded", preset="smoke", seed=7) for row in scored.metrics]
        write.save_metrics(live, run_id, metrics)
        write.save_confusions(live, run_id, scored.confusions)
        write.save_curves(live, run_id, scored.curves)
    run = store.run("extract_lora")
    assert run is not None
    write.save_run(live, replace(run, run_id="rl_1", flow="rl", stage="rl"))
    points = [
        CurvePoint(
            "rl", "mmr_tradeoff", 0.8 + t / 10, 0.5 - t / 10, {"trade_off": t, "coverage": 0.5, "true_reward": 2.0}
        )
        for t in (0.0, 0.5, 1.0)
    ]
    for curve in ("rl_tradeoff", "rl_swap_tradeoff"):
        points += [CurvePoint("rl", curve, 0.9 - w, 0.3 + w, {"weight": w}) for w in (0.0, 0.15, 0.6)]
    write.save_curves(live, "rl_1", points)
    from fvrec.records import Metric

    rows = [
        Metric("rl", name, value, source="embedded", preset="smoke", split="test", strategy=strategy, k=10, seed=7, n=9)
        for strategy in ("rl", "greedy")
        for name, value in (("ndcg", 0.85), ("ild", 0.45), ("coverage", 0.6), ("true_reward", 2.2))
    ]
    write.save_metrics(live, "rl_1", rows)
    # Counted from 0, as runs of before did.
    listed = [Ranking("test-00000", "rl", n, name, 1.0 - n / 9, "", {}) for n, name in enumerate(list(items)[:5])]
    write.save_rankings(live, "rl_1", listed)
    write.save_items(
        live, "embedded", store.items("embedded"), [Quarantined("embedded", "x.jpg", "image_unreadable", "torn")]
    )
    publish(live, settings.snapshot)
    return settings


def open_screen(name: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("FVREC_ROOT", str(settings.root))
    page = AppTest.from_file(str(SCREENS / f"{name}.py"), default_timeout=120).run()
    assert not page.exception
    return page


def said(page: AppTest) -> str:
    parts = (page.markdown, page.caption, page.info, page.warning, page.error, page.success)
    return "\n".join(element.value for elements in parts for element in elements)


@pytest.mark.parametrize("name", NAMES)
def test_without_a_snapshot_a_page_says_which_command_makes_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = open_screen(name, Settings(root=tmp_path), monkeypatch)
    assert "`fvrec run`" in page.warning[0].value
    assert not page.error


@pytest.mark.parametrize("name", NAMES)
def test_a_page_of_an_empty_warehouse_says_what_to_do(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from warehouse.db import migrate

    settings = Settings(root=tmp_path)
    migrate(settings.database)
    publish(settings.database, settings.snapshot)
    page = open_screen(name, settings, monkeypatch)
    assert not page.error
    assert "`fvrec " in said(page) or name == "sql"


def test_every_page_is_reached_and_keeps_the_language(scored_shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FVREC_ROOT", str(scored_shop.root))
    page = AppTest.from_file(str(SCREENS.parent / "Home.py"), default_timeout=120).run()
    page.button_group(key="language").set_value("zh").run()
    for name in NAMES:
        page.switch_page(f"screens/{name}.py").run()
        assert not page.exception
        assert f"## {WORDS[f'page_{name}']['zh']}" in said(page)


def test_the_extraction_page(scored_shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    page = open_screen("extraction", scored_shop, monkeypatch)
    board = page.dataframe[0].value
    assert set(board["model"]) == {"base", "sft", "lora"}
    page.selectbox(key="variant").set_value(("lora", "image_title", "raw")).run()
    assert len(page.get("vega_lite_chart")) == 2
    page.selectbox(key="confusion_field").set_value("color").run()
    assert "attribute_confused" in page.selectbox(key="failure_class").options[0]
    assert "≠" in said(page)
    page.selectbox(key="variant").set_value(("base", "image_title", "raw")).run()
    assert not page.exception
    assert page.code, "what the base wrote"
    page.button_group(key="upload_model").set_value("sft").run()
    page.text_input(key="upload_title").set_value("blue dress").run()
    assert not page.exception


@pytest.mark.parametrize("data", [b"not a picture", png_bytes(20_000, 10_000)], ids=["text", "bomb"])
def test_a_bad_upload_is_a_message(scored_shop: Settings, monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    page = open_screen("extraction", scored_shop, monkeypatch)
    page.file_uploader(key="upload").upload("mine.png", data, "image/png").run()
    assert not page.exception
    assert "cannot be used as a picture" in page.warning[0].value
    assert page.dataframe, "the rest of the page stays"


def test_an_upload_without_the_models_says_so(scored_shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    item = Warehouse(scored_shop.snapshot).items("embedded", ["test"])[0]
    page = open_screen("extraction", scored_shop, monkeypatch)
    photo = (scored_shop.root / item.image_path).read_bytes()
    page.file_uploader(key="upload").upload("mine.png", photo, "image/png").run()
    assert not page.exception
    assert WORDS["evidence_missing"]["en"] in said(page)


def test_a_point_of_the_trade_off_leads_to_its_list(scored_shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    page = open_screen("trade_off", scored_shop, monkeypatch)
    points = page.selectbox(key="point").options
    assert {"rl", "greedy", "mmr λ=1.00", "mmr λ=0.00", "rl λ=0.00", "rl λ=0.44", "rl λ=1.00"} <= set(points)
    assert len(points) == len(set(points))
    page.selectbox(key="point").set_value("rl").run()
    assert page.selectbox(key="recorded").options == ["test-00000"]
    places = [caption.value[:3] for caption in page.caption if caption.value.startswith("**")]
    assert places == ["**1", "**2", "**3", "**4", "**5"]
    spread = []
    for point in ("mmr λ=0.00", "mmr λ=1.00"):
        page.selectbox(key="point").set_value(point).run()
        assert not page.exception
        spread.append([caption.value for caption in page.caption if caption.value.startswith("**")])
    assert len(spread[0]) == 10
    assert spread[0] != spread[1]
    page.text_input(key="trade_off_text").set_value("red").run()
    assert not page.exception
    page.selectbox(key="point").set_value("greedy").run()
    assert WORDS["no_list"]["en"] in said(page)


def test_the_list_behind_a_point_of_the_policy_is_made_as_that_point_was(
    scored_shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = open_screen("trade_off", scored_shop, monkeypatch)
    page.selectbox(key="point").set_value("rl_swap λ=0.44").run()
    shown = [caption.value for caption in page.caption if caption.value.startswith("**")]
    place = slider("rl_swap", 0.15, own_weight(scored_shop.policies / "rl"))
    assert place == pytest.approx(0.44, abs=0.005)
    asked = Query("embedded", str(page.text_input(key="trade_off_text").value), strategy="rl", diversity=place)
    cards = DemoService.open(scored_shop).ask(asked).cards
    assert len(shown) == len(cards) == 10
    assert all(card.ranked.item.title in caption for card, caption in zip(cards, shown, strict=True))
    # Without the exchange the page makes no lists: those of ``rl_swap`` would not be this point's.
    page.selectbox(key="point").set_value("rl λ=0.44").run()
    assert WORDS["no_list"]["en"] in said(page)


def test_the_catalogue_is_filtered_and_paged(scored_shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    page = open_screen("catalogue", scored_shop, monkeypatch)
    assert "240 products" in said(page)
    page.number_input(key="shelf_page").set_value(10).run()
    assert sum(text.value.startswith("**") for text in page.markdown) == 24
    page.multiselect(key="filter_color").set_value(["blue"]).run()
    assert not page.exception
    wanted = [item for item in Warehouse(scored_shop.snapshot).items("embedded") if item.values["color"] == "blue"]
    assert f"{len(wanted)} products" in said(page)
    assert all("color\\: blue" in caption.value for caption in page.caption if " · " in caption.value)
    monkeypatch.setattr("app.frame.language", lambda: "zh")
    page.run()
    assert all("颜色\\: 蓝色" in caption.value for caption in page.caption if " · " in caption.value)
    monkeypatch.undo()
    monkeypatch.setenv("FVREC_ROOT", str(scored_shop.root))
    page.text_input(key="title_has").set_value("no such title").run()
    assert "0 products" in said(page)
    page.text_input(key="title_has").set_value("").run()
    page.button_group(key="filters").set_value(["season"]).run()
    page.selectbox(key="spread_field").set_value("season").run()
    assert not page.exception
    assert page.dataframe[0].value["reason"].tolist() == ["image_unreadable"]


def ask_sql(page: AppTest, sql: str) -> AppTest:
    page.text_area(key="sql").set_value(sql)
    page.button[0].click().run()
    assert not page.exception
    return page


def test_sql_shows_rows_and_files_and_caps_them(scored_shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    page = open_screen("sql", scored_shop, monkeypatch)
    assert set(page.dataframe[0].value["model"]) == {"base", "sft", "lora"}
    page.selectbox(key="sql_example").set_value("data_quality").run()
    assert page.text_area(key="sql").value == "FROM data_quality LIMIT 50"
    assert "check" in page.dataframe[0].value.columns
    ask_sql(page, "SELECT item_id FROM item_attributes")
    assert len(page.dataframe[0].value) == 1000
    assert "there are more" in said(page)
    assert len(page.get("download_button")) == 3


@pytest.mark.parametrize(
    ("sql", "cause"),
    [
        ("DELETE FROM items", "only queries"),
        ("ATTACH 'x.duckdb'", "only queries"),
        ("SELECT * FROM read_text('/etc/hostname')", "disabled"),
        ("SELECT 1; SELECT 2", "one statement"),
        ("SELEC", "syntax error"),
        ("SELECT timestamp '290000-01-01'", "cast"),
        ("SELECT repeat('x', 1000000) FROM range(100)", "rows are too large"),
    ],
)
def test_refused_sql_is_a_message(scored_shop: Settings, monkeypatch: pytest.MonkeyPatch, sql: str, cause: str) -> None:
    page = ask_sql(open_screen("sql", scored_shop, monkeypatch), sql)
    assert cause in said(page).lower()
    assert page.warning
    assert not page.dataframe


def test_columns_of_one_name_are_told_apart(scored_shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    page = open_screen("sql", scored_shop, monkeypatch)
    ask_sql(page, "SELECT a.run_id, b.run_id FROM runs AS a JOIN runs AS b USING (stage)")
    assert list(page.dataframe[0].value.columns) == ["run_id", "run_id_1"]
    assert not page.error


@pytest.mark.parametrize(
    ("sql", "kinds"),
    [
        ("SELECT interval 1 day AS span", ["parquet"]),
        ("SELECT union_value(a := 1) AS one", ["parquet"]),
    ],
)
def test_what_a_kind_of_file_cannot_hold_costs_that_file_alone(
    scored_shop: Settings, monkeypatch: pytest.MonkeyPatch, sql: str, kinds: list[str]
) -> None:
    page = ask_sql(open_screen("sql", scored_shop, monkeypatch), sql)
    assert not page.error
    assert not page.warning
    assert len(page.dataframe) == 2, "the rows, and what the columns mean"
    off = [button.proto.label.lower() for button in page.get("download_button") if button.proto.disabled]
    assert off == kinds


def test_endless_sql_is_stopped(scored_shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    page = open_screen("sql", scored_shop, monkeypatch)
    ask_sql(page, "SELECT sum(a.range * b.range) FROM range(10000000) AS a, range(10000000) AS b")
    assert "stopped after 5 s" in said(page)


def test_the_runs_and_a_server_that_is_not_there(scored_shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_UI_URL", "http://127.0.0.1:9")
    page = open_screen("runs", scored_shop, monkeypatch)
    assert "http://127.0.0.1:9" in page.info[0].value
    assert "`fvrec serve`" in page.info[0].value
    assert set(page.dataframe[0].value["stage"]) == {"extract_base", "extract_sft", "extract_lora", "rl"}
    page.multiselect(key="stages").set_value(["rl"]).run()
    assert page.dataframe[0].value["stage"].tolist() == ["rl"]
    page.selectbox(key="run_id").set_value("rl_1").run()
    assert page.code


def test_in_containers_the_link_is_the_browsers_and_the_question_the_servers(
    scored_shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{server.getsockname()[1]}/api")
        monkeypatch.setenv("PREFECT_UI_URL", "http://shop.example:4200")
        page = open_screen("runs", scored_shop, monkeypatch)
    assert [link.proto.url for link in page.get("link_button")] == ["http://shop.example:4200"]
    assert not page.info


@pytest.mark.parametrize(
    "script", [SCREENS.parent / "Home.py", *sorted(SCREENS.glob("*.py"))], ids=lambda path: path.stem
)
def test_no_text_stands_alone_in_what_streamlit_runs(script: Path) -> None:
    """Where its "magic" is on, it would be shown on the page."""
    docstring, *others = ast.parse(script.read_text(encoding="utf-8")).body
    assert isinstance(docstring, ast.Expr)
    assert [
        ast.unparse(one) for one in others if isinstance(one, ast.Expr) and not isinstance(one.value, ast.Call)
    ] == []
