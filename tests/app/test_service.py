"""The service behind the page: which products it offers, what lists it makes, what it refuses and how it says so."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from app.listing import Query
from app.service import DemoService
from fvrec.config import Settings
from fvrec.errors import FvrecError
from fvrec.records import Item
from fvrec.rerank.score import ScoreWeights
from fvrec.rerank.weights import weights_file, write_weights
from fvrec.rl.artifact import load_policy
from fvrec.rl.serve import SWAPS, PolicyRanker
from fvrec.schema import UNKNOWN
from tests.app.conftest import OTHER_SOURCE, png_bytes
from warehouse.read import Warehouse


@pytest.fixture(scope="module")
def service(demo_shop: Settings) -> DemoService:
    return DemoService.open(demo_shop)


def held_out(settings: Settings, *splits: str) -> list[Item]:
    return Warehouse(settings.snapshot).items("embedded", splits)


def photo(settings: Settings, item: Item) -> bytes:
    return (settings.root / item.image_path).read_bytes()


def test_it_offers_what_was_read_and_not_trained_on(demo_shop: Settings, service: DemoService) -> None:
    assert service.sources() == ("embedded",)
    assert service.models("embedded") == ("base", "sft", "lora")
    everything = service.ask(Query("embedded", "blue", k=1000))
    assert {card.ranked.item.split for card in everything.cards} == {"val", "test"}
    assert everything.candidates == len(everything.cards) == len(held_out(demo_shop, "val", "test"))
    by_sft = service.ask(Query("embedded", "blue", model="sft", k=1000))
    assert {card.ranked.item.item_id for card in by_sft.cards} == {
        card.ranked.item.item_id for card in everything.cards
    }


def test_what_was_read_of_picture_and_title_goes_before_the_picture_alone(service: DemoService) -> None:
    cards = service.ask(Query("embedded", "blue")).cards
    assert {card.prediction.inputs for card in cards} == {"image_title"}
    assert all(card.prediction.attributes == card.ranked.attributes for card in cards)


@pytest.mark.parametrize(("text", "field", "value"), [("red", "color", "red"), ("男士", "gender", "male")])
def test_a_wish_that_can_be_met_is_met_first(service: DemoService, text: str, field: str, value: str) -> None:
    cards = service.ask(Query("embedded", text, k=3)).cards
    assert [card.ranked.attributes[field] for card in cards] == [value] * 3
    assert all(card.ranked.matched == (field,) for card in cards)
    assert all(value in card.ranked.explanation for card in cards)


def test_strategies_differ_and_are_compared_with_base(service: DemoService) -> None:
    base, mmr, rl = (service.ask(Query("embedded", "blue", strategy=name, k=8)) for name in ("base_rank", "mmr", "rl"))
    assert [found.answer.strategy for found in (base, mmr, rl)] == ["base_rank", "mmr", "rl"]
    assert base.quality == base.base == mmr.base == rl.base
    assert mmr.quality.ild is not None
    assert base.quality.ild is not None
    assert mmr.quality.ild > base.quality.ild
    for found in (mmr, rl):
        assert len({card.ranked.item.item_id for card in found.cards}) == 8


def test_lists_of_rl_are_those_that_the_reports_call_rl_swap(demo_shop: Settings, service: DemoService) -> None:
    query = Query("embedded", "preferably blue", strategy="rl", k=8)  # nothing is demanded: one list out of one pool
    found = service.ask(query)
    shown = service.ranker(query)
    assert isinstance(shown, PolicyRanker)
    trained = load_policy(demo_shop.policies / "rl", source="embedded")
    reported = trained.ranker(redundancy=shown.redundancy, novelty=shown.novelty, swaps=SWAPS, name="rl_swap")
    chosen = reported.rank(found.answer.pool, 8)
    assert [card.ranked.item.item_id for card in found.cards] == [found.answer.pool.item_ids[row] for row in chosen]


def test_a_products_own_photo_brings_it_to_the_top(demo_shop: Settings, service: DemoService) -> None:
    for item in held_out(demo_shop, "test")[:3]:
        found = service.ask(Query("embedded", picture=photo(demo_shop, item)))
        assert found.cards[0].ranked.item.item_id == item.item_id


def test_an_uploaded_picture_lies_where_its_product_lies(demo_shop: Settings, service: DemoService) -> None:
    item = held_out(demo_shop, "test")[0]
    stored = Warehouse(demo_shop.snapshot).embeddings([item.item_id], "lite0")[0]
    embedded = service.embed_picture("embedded", photo(demo_shop, item))
    assert float(stored @ embedded) == pytest.approx(1.0, abs=1e-3)


def test_a_model_without_valid_answers_leaves_everything_unknown(service: DemoService) -> None:
    found = service.ask(Query("embedded", "blue dress", model="base"))
    assert found.readable == 0
    assert found.candidates > 0
    assert {value for card in found.cards for value in card.ranked.attributes.values()} == {UNKNOWN}
    assert all(card.prediction.raw_output == card.ranked.item.title for card in found.cards)


def test_a_source_without_vectors_has_no_diversity_and_takes_no_picture(
    two_sources: Settings, demo_shop: Settings
) -> None:
    service = DemoService.open(two_sources)
    assert service.sources() == ("embedded", OTHER_SOURCE)
    found = service.ask(Query(OTHER_SOURCE, "blue", strategy="mmr"))
    assert found.quality.ild is None
    assert found.quality.coverage > 0
    with pytest.raises(FvrecError, match="picture vectors"):
        service.ask(Query(OTHER_SOURCE, picture=photo(demo_shop, held_out(demo_shop, "test")[0])))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: b"GIF89a but not really", "cannot be used as a picture"),
        (lambda: b"", "cannot be used as a picture"),
        (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "cannot be used as a picture"),
        (lambda: png_bytes(9000, 9000), "allowed"),
        (lambda: png_bytes(20_000, 10_000), "allowed"),
        (lambda: png_bytes(64, 64) + bytes(10 * 1024 * 1024), "too large"),
    ],
    ids=["not a picture", "empty", "svg", "many pixels", "bomb", "many bytes"],
)
def test_bad_uploads_are_refused(service: DemoService, make: Callable[[], bytes], message: str) -> None:
    data = make()
    for refuse in (service.thumbnail, lambda upload: service.ask(Query("embedded", picture=upload))):
        with pytest.raises(FvrecError, match=message):
            refuse(data)


def test_half_a_photo_is_refused(demo_shop: Settings, service: DemoService) -> None:
    whole = photo(demo_shop, held_out(demo_shop, "test")[0])
    assert service.thumbnail(whole)
    with pytest.raises(FvrecError, match="cannot be used"):
        service.thumbnail(whole[: len(whole) // 2])


def test_a_photo_that_is_gone_is_no_error(own_shop: Settings) -> None:
    service = DemoService.open(own_shop)
    item = held_out(own_shop, "test")[0]
    (own_shop.root / item.image_path).unlink()
    assert service.picture(item) is None


def test_what_is_missing_is_named_with_the_command_that_makes_it(own_shop: Settings, tmp_path: Path) -> None:
    with pytest.raises(FvrecError, match="fvrec run"):
        DemoService.open(Settings(root=tmp_path / "nowhere"))
    shutil.rmtree(own_shop.policies)
    service = DemoService.open(own_shop)
    with pytest.raises(FvrecError, match="fvrec run"):
        service.ask(Query("embedded", "blue", strategy="rl"))
    with pytest.raises(FvrecError, match="allowed: embedded"):
        service.ask(Query("hm", "blue"))
    with pytest.raises(FvrecError, match="allowed: base, sft, lora"):
        service.ask(Query("embedded", "blue", model="gpt"))
    with pytest.raises(FvrecError, match="allowed: base_rank, mmr, rl"):
        service.ask(Query("embedded", "blue", strategy="random"))


def test_a_follow_up_changes_the_standing_request(service: DemoService) -> None:
    first = service.ask(Query("embedded", "blue dress", k=3))
    after = service.ask(Query("embedded", "in red instead", k=3, standing=first.answer.constraints))
    assert {name: set(values) for name, values in after.answer.constraints.wanted.items()} == {
        "category": {"dress"},
        "color": {"red"},
    }
    (color,) = [one for one in after.answer.constraints.constraints if one.field == "color"]
    struck = service.ask(Query("embedded", "", k=3, standing=after.answer.constraints.without(color)))
    assert set(struck.answer.constraints.wanted) == {"category"}


def test_a_shop_without_models_takes_a_picture_by_its_looks(demo_shop: Settings, service: DemoService) -> None:
    assert not demo_shop.models.exists()
    query = Query("embedded", picture=photo(demo_shop, held_out(demo_shop, "test")[0]))
    assert service.pictured(query) == ()
    assert not service.ask(query).answer.constraints


def test_lists_are_made_with_the_weights_that_were_tuned(own_shop: Settings) -> None:
    plain = DemoService.open(own_shop).ask(Query("embedded", "red dress", k=1)).answer
    write_weights(weights_file(own_shop), ScoreWeights(alpha=9.0))
    tuned = DemoService.open(own_shop).ask(Query("embedded", "red dress", k=1)).answer
    assert tuned.ranked[0].score == pytest.approx(plain.ranked[0].score + 16.0)


def test_threads_get_the_same_answer(demo_shop: Settings) -> None:
    service = DemoService.open(demo_shop)
    queries = [Query("embedded", "blue", strategy=name) for name in ("base_rank", "mmr", "rl")] * 4
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(service.ask, queries))
    for first, again in zip(found[:3] * 3, found[3:], strict=True):
        assert [c.ranked.item.item_id for c in first.cards] == [c.ranked.item.item_id for c in again.cards]


def test_words_alone_need_no_torch(demo_shop: Settings) -> None:
    program = (
        "import sys; from pathlib import Path; from fvrec.config import Settings; "
        "from app.listing import Query; from app.service import DemoService; "
        f"service = DemoService.open(Settings(root=Path({str(demo_shop.root)!r}))); "
        "assert 'sklearn' not in sys.modules, 'first paint'; "
        "service.ask(Query('embedded', 'blue', strategy='mmr')); "
        "assert 'torch' not in sys.modules, 'words'"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_pictures_are_square_and_small(demo_shop: Settings, service: DemoService) -> None:
    from io import BytesIO

    from PIL import Image

    data = service.picture(held_out(demo_shop, "test")[0])
    assert data is not None
    with Image.open(BytesIO(data)) as image:
        assert image.size == (360, 360)
        assert np.asarray(image).std() > 0
    assert len(data) < 100_000
