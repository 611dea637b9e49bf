"""Flows of ``test_runner.py``: in a module, as Ray's workers import what a flow is made of; in vain, so it is light."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from flows.story import story
from fvrec.artifacts import atomic_write
from fvrec.config import RlBudget, Settings
from fvrec.errors import FvrecError
from fvrec.parallel import in_order
from tasks.context import Context
from tasks.extraction import STAGES
from tasks.ingest import ingest
from tasks.sft import features, pretrain
from tasks.shards import runner_of
from tasks.stage import StageResult, stage

SHARDS = 8
HELD_S = 120.0


def judgement(settings: Settings) -> Path:
    """What the evaluation of a policy came to."""
    return settings.outputs / "judgement.json"


@stage(
    "judged",
    flow="sharded",
    outputs=lambda settings: [judgement(settings)],
    module="fvrec.rl.evaluate",
    recorded=False,
)
def judged(context: Context) -> None:
    """A small policy on a drawn catalogue, trained here and evaluated by the runner: three shards of users."""
    from fvrec.rl.evaluate import evaluate_policy
    from fvrec.rl.items import split_items
    from fvrec.rl.synthetic import synthetic_items
    from fvrec.rl.train import PpoConfig, train_policy

    budget = RlBudget(train_users=30, test_users=150, timesteps=600, feed_timesteps=300, pool_size=20)
    val, test = split_items(synthetic_items(200, seed=3, accuracy=0.8, dimensions=8), share=0.5, seed=3)
    trained = train_policy(val, budget=budget, seed=7, ppo=PpoConfig.sized(600))
    runner = runner_of(context.settings, context.stage)
    found = evaluate_policy(trained, val_items=val, test_items=test, budget=budget, runner=runner)
    rows = [asdict(row) for row in (*found.metrics, *found.curves, *found.rankings)]
    atomic_write(context.build(judgement(context.settings)), json.dumps(rows, default=str))


@story("sharded")
def sharded(settings: Settings) -> list[StageResult]:
    """The four kinds of work that a runner takes, and the training between them."""
    return [one(settings) for one in (ingest, features, pretrain, STAGES["base"], judged)]


@dataclass(frozen=True)
class Slow:
    """Write who does this shard, wait, and put a file there."""

    number: int
    folder: Path

    @property
    def begun(self) -> Iterator[Path]:
        return self.folder.glob(f"{self.number}.begun-*")


def refused(shard: int) -> int:
    raise FvrecError("this shard cannot be done", where="shard", found=shard, allowed="another one")


def slowly(shard: Slow) -> int:
    import ray

    # The first worker of the first shard stays at it until it is killed: however slow the killer is, it meets it there.
    held = shard.number == 0 and not any(shard.begun)
    (shard.folder / f"{shard.number}.begun-{os.getpid()}-{ray.get_runtime_context().get_node_id()}").touch()
    time.sleep(HELD_S if held else 1.0)
    (shard.folder / f"{shard.number}.done").touch()
    return shard.number


@story("slow")
def slow(settings: Settings) -> list[StageResult]:
    """Shards that take a second each, the first until it is killed; their results, in order, as a file.

    Then a shard that fails.
    """
    runner = runner_of(settings, "slow")
    assert runner is not None
    if settings.runner != "threads":
        found = list(in_order(runner, slowly, [Slow(number, settings.root) for number in range(SHARDS)]))
        (settings.root / "found.json").write_text(json.dumps(found))
    list(in_order(runner, refused, [5]))
    return []
