"""One card at a time: no card twice, answers count, and the trained policy is asked in its feed mode."""

from __future__ import annotations

import numpy as np
import pytest

from app.feed import Answers, next_item
from app.rankers import ranker_for
from fvrec.config import Settings
from fvrec.rerank.diversify import BaseRank, Mmr
from fvrec.rerank.pool import Pool, Ranker
from fvrec.schema import FIELDS


def pool() -> Pool:
    """Two looks, red (even places) and blue (odd ones), all of one relevance."""
    rng = np.random.default_rng(0)
    looks = np.eye(8, dtype=np.float32)[[0, 1] * 6]
    vectors = looks + 0.1 * rng.standard_normal((12, 8)).astype(np.float32)
    values = np.zeros((12, len(FIELDS)), dtype=np.int16)
    values[:, 1] = [0, 1] * 6
    return Pool(
        item_ids=tuple(f"i{n}" for n in range(12)),
        relevance=np.full(12, 0.5, dtype=np.float32),
        embeddings=vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        values=values,
        field_match=np.full((12, len(FIELDS)), 0.5, dtype=np.float32),
    )


def policy(settings: Settings) -> Ranker:
    return ranker_for("rl", 0.3, settings.policies / "rl")


@pytest.mark.parametrize("strategy", ["base_rank", "mmr", "rl"])
def test_every_card_comes_once_and_then_none(demo_shop: Settings, strategy: str) -> None:
    candidates, answers = pool(), Answers()
    ranker = ranker_for(strategy, 0.3, demo_shop.policies / "rl")
    seen = []
    while (item_id := next_item(candidates, ranker, answers)) is not None:
        seen.append(item_id)
        answers = answers.like(item_id) if len(seen) % 2 else answers.skip(item_id)
    assert sorted(seen) == sorted(candidates.item_ids)


@pytest.mark.parametrize("ranker", [BaseRank(), Mmr(0.9)], ids=["base_rank", "mmr"])
def test_a_like_brings_more_of_its_kind_and_a_skip_the_other_kind(ranker: Ranker) -> None:
    liked, skipped = Answers().like("i1"), Answers().skip("i1")
    after_like, after_skip = next_item(pool(), ranker, liked), next_item(pool(), ranker, skipped)
    assert after_like is not None
    assert after_skip is not None
    assert int(after_like[1:]) % 2 == 1
    assert int(after_skip[1:]) % 2 == 0


def test_the_policy_hears_the_answers(demo_shop: Settings) -> None:
    ranker, candidates = policy(demo_shop), pool()
    feed = ranker.feed(candidates, 12)  # type: ignore[attr-defined]
    before = feed.relevance
    feed.heard(1.0, 1)
    assert not np.allclose(before, feed.relevance)
    answers = Answers().like("i1").skip("i0")
    feed.heard(0.0, 0)
    assert next_item(candidates, ranker, answers) == candidates.item_ids[feed.next()]
