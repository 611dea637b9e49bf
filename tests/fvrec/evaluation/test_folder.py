"""A labelled folder from raw files to rows, with weights that know nothing: what counts here is who is scored."""

from __future__ import annotations

from pathlib import Path

import pytest

from fvrec import catalog
from fvrec.config import LanguageModelSize
from fvrec.errors import FvrecError
from fvrec.evaluation.folder import FolderScorer
from fvrec.sources import Source, open_source
from fvrec.vlm.collate import Encoder
from fvrec.vlm.extract import Extractor
from fvrec.vlm.model import new_model
from fvrec.vlm.tokenizer import IMAGE_TOKEN, token_id, train_tokenizer
from fvrec.vlm.towers import load_tower
from fvrec.vlm.trained_on import TrainingRecord

SIZE = LanguageModelSize(layers=1, hidden=32, heads=2, kv_heads=1, intermediate=64, bpe_vocabulary=300)


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    tokenizer = train_tokenizer(["red dress"], vocabulary=300)
    encoder = Encoder(tokenizer, visual_positions=load_tower("lite0").tokens, max_length=256)
    image_id = token_id(encoder.tokenizer, IMAGE_TOKEN)
    model = new_model(SIZE, load_tower("lite0"), vocabulary=len(encoder.tokenizer), image_token_id=image_id, seed=1)
    return Extractor("base", model.eval(), encoder)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return open_source("embedded", tmp_path_factory.mktemp("drawn"), items=24, seed=5)


def test_all_items_are_scored_in_both_modes_and_training_is_left_out(
    extractor: Extractor, source: Source, tmp_path: Path
) -> None:
    items = catalog.build(source, root=tmp_path).items
    trained = items[: len(items) // 2]
    record = TrainingRecord.of(trained, source=source.name, preset="smoke")
    unseen = len(items) - len(trained)
    assert 0 < unseen < len(items)

    scores = FolderScorer(extractor, record, tmp_path / "scratch", seed=3).score(source, ["image"])
    assert (scores.items, scores.seen) == (unseen, len(trained))
    rates = {row.mode: row for row in scores.metrics if row.metric == "schema_pass_rate"}
    assert set(rates) == {"raw", "constrained"}
    assert rates["constrained"].value == 1.0
    assert rates["raw"].n == rates["constrained"].n == unseen
    labelled = {row.field for row in scores.metrics if row.metric == "majority_share"}
    assert labelled == set(source.supervised_fields)
    for row in scores.metrics:
        assert (row.source, row.split, row.model, row.preset) == ("embedded", "all", "base", "smoke")

    everything = FolderScorer(extractor, record, tmp_path / "again", include_seen=True).score(source, ["image"])
    assert (everything.items, everything.seen) == (len(items), len(trained))


def test_nothing_unseen_is_an_error(extractor: Extractor, source: Source, tmp_path: Path) -> None:
    items = catalog.build(source, root=tmp_path).items
    record = TrainingRecord.of(items, source=source.name, preset="smoke")
    with pytest.raises(FvrecError, match="trained on every product"):
        FolderScorer(extractor, record, tmp_path / "scratch").score(source, ["image"])
