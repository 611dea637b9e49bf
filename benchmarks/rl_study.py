"""The full study of the list policy on drawn catalogues: five seeds, every baseline, sweeps, both modes.

    python -m benchmarks.rl_study --json docs/results/rl.json [--report docs/results/rl.md] [--seeds 5] [--mode all]

Train, val and test have items and users of their own; the world's habits are the same. Baselines, lambda and mu are
chosen on val, the checkpoint on a quarter of the training items. Differences are paired; intervals are bootstraps over
users (each user once a seed, all seeds together). ``--steps`` sets PPO's steps for a list, ``--feed-steps`` for a feed.
What is finished is kept in ``--work`` (a folder) and not made again.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fvrec.artifacts import atomic_write
from fvrec.rl.bank import Bank
from fvrec.rl.compare import (
    SWEPT_WEIGHTS,
    TRADE_OFFS,
    at_weights,
    diversifier,
    judged,
    line_up,
    networks,
    tuned,
    without_truth,
)
from fvrec.rl.env import EnvConfig
from fvrec.rl.feedback import FeedbackConfig
from fvrec.rl.feeds import adaptive_greedy, open_loop, replanning
from fvrec.rl.items import ItemTable
from fvrec.rl.oracle import best_by_search, truth_of
from fvrec.rl.playing import by_network, play
from fvrec.rl.reader import Reader, ReaderConfig, fit_reader
from fvrec.rl.requests import RequestSampler
from fvrec.rl.reward import RewardConfig
from fvrec.rl.serve import PolicyRanker
from fvrec.rl.synthetic import synthetic_items
from fvrec.rl.train import PpoConfig, isolated_torch, train_on
from fvrec.rl.users import sample_population

K, POOL = 10, 50
WEIGHTS_TRIED = (0.02, 0.04, 0.06, 0.08, 0.1, 0.15)
FEED_REPEATS = 3


class World:
    """Catalogues, users and readers of one seed."""

    def __init__(self, seed: int, *, items: int = 2000, users: int = 1000) -> None:
        self.seed = seed
        tables = [synthetic_items(items, seed=10 * seed + part) for part in range(4)]
        splits = ("train", "val", "val", "test")
        self.train, self.judge, self.val, self.test = (
            self._sampler(table, split, users, seed + part)
            for part, (table, split) in enumerate(zip(tables, splits, strict=True))
        )
        rng = np.random.default_rng([seed, 1])
        shown = [self.train.sample(rng) for _ in range(2000)]
        with isolated_torch():
            self.reader = fit_reader(tables[0], shown, seed=seed)
            self.supervised = fit_reader(tables[0], shown, seed=seed, config=ReaderConfig(denoise=False))
        self.val_requests = self.val.of_every_user(seed=seed)[:400]
        self.test_requests = self.test.of_every_user(seed=seed)

    @staticmethod
    def _sampler(table: ItemTable, split: Any, users: int, seed: int) -> RequestSampler:
        crowd = sample_population(table, n=users, split=split, seed=seed)
        return RequestSampler(table, crowd.users, POOL, crowd.interactions)

    def bank(self, part: str, reader: Reader | None) -> Bank:
        return Bank.of(self.val_requests if part == "val" else self.test_requests, reader)


def ppo(steps: int, **changes: Any) -> PpoConfig:
    return PpoConfig(**{"learning_rate": 5e-4, "bank": 1536, "warm_epochs": 8, **changes})


def list_study(world: World, steps: int) -> dict[str, Any]:
    banks = {
        part: {
            None: world.bank(part, None),
            "sup": world.bank(part, world.supervised),
            "full": world.bank(part, world.reader),
        }
        for part in ("val", "test")
    }

    def of(part: str, reader: Reader | None) -> Bank:
        key = None if reader is None else "sup" if reader is world.supervised else "full"
        return banks[part][key]

    env = EnvConfig(K, vary=True)
    began = time.process_time()
    trained = train_on(
        world.train, env=env, timesteps=steps, seed=world.seed, ppo=ppo(steps), reader=world.reader, judge=world.judge
    )
    cpu = time.process_time() - began
    starts = {
        name: train_on(
            world.train,
            env=env,
            timesteps=1,
            seed=world.seed,
            ppo=ppo(1, warm=warm, learning_rate=1e-9, num_envs=1, lists_per_rollout=1, rounds=1),
            reader=world.reader,
            judge=world.judge,
        )
        for name, warm in (("marginals", "marginals"), ("cloned", "both"))
    }
    default, tried = choose_default(trained.ranker(), of("val", world.reader), of("val", None), world)
    reward = RewardConfig(default, default)
    trade_offs = tuned(of("val", None), K, reward)
    print(world.seed, "default", default, "trade-offs", trade_offs, f"train {cpu:.0f}s", flush=True)
    rows: dict[str, Any] = {}
    for ranker in [*line_up(trade_offs, reward, supervised=world.supervised, reader=world.reader)]:
        rows[ranker.name] = record(
            ranker.lists(without_truth(of("test", ranker.reader)), K), of("test", None), world, reward
        )
    for policy in networks(trained, starts):
        rows[policy.name] = record(
            at_weights(policy, default).rank_bank(without_truth(of("test", world.reader)), K),
            of("test", None),
            world,
            reward,
        )
    test = of("test", None)
    best = best_by_search(truth_of(test, np.arange(len(test)), reward), K)
    rows["oracle"] = record(best, test, world, reward)
    sweeps = {
        name: [record(diversifier(name, t)(without_truth(test), K), test, world, reward) for t in TRADE_OFFS]
        for name in trade_offs
    }
    sweeps["rl"] = [
        record(
            at_weights(trained.ranker(), w).rank_bank(without_truth(of("test", world.reader)), K), test, world, reward
        )
        for w in SWEPT_WEIGHTS
    ]
    return {
        "default": default,
        "tried": tried,
        "trade_offs": trade_offs,
        "cpu_s": cpu,
        "rankers": rows,
        "sweeps": sweeps,
        "curve": [[p.x, p.y] for p in trained.learning_curve],
    }


def record(lists: np.ndarray, bank: Bank, world: World, reward: RewardConfig) -> dict[str, list[float]]:
    found = judged(bank, world.test_requests, lists, reward)
    long_tail = np.take_along_axis(bank.long_tail, lists, axis=1).mean(axis=1)
    catalogue = len({world.test_requests[row].pool.item_ids[i] for row, chosen in enumerate(lists) for i in chosen})
    ild = 1.0 - bank.alike[np.arange(len(lists))[:, None, None], lists[:, :, None], lists[:, None, :]][
        :, ~np.eye(K, dtype=bool)
    ].mean(axis=1)
    return {
        "true_reward": found.reward.round(5).tolist(),
        "ndcg": found.scores.ndcg.round(5).tolist(),
        "ild": found.scores.ild.round(5).tolist(),
        "coverage": found.scores.coverage.round(5).tolist(),
        "ild_attributes": ild.round(5).tolist(),
        "long_tail": long_tail.round(5).tolist(),
        "catalogue": [catalogue / len(set().union(*(r.pool.item_ids for r in world.test_requests)))],
    }


def choose_default(policy: PolicyRanker, seen: Bank, plain: Bank, world: World) -> tuple[float, list[Any]]:
    """The largest lambda = mu at which NDCG on val is at least 99 % of Base's."""
    from fvrec.rl.baselines import base_lists
    from fvrec.rl.scoring import score_lists

    def ndcg(lists: np.ndarray) -> float:
        return float(score_lists(world.val_requests, list(lists), RewardConfig()).ndcg.mean())

    base = ndcg(base_lists(plain, K))
    tried = [[w, ndcg(at_weights(policy, w).rank_bank(seen, K)) / base] for w in WEIGHTS_TRIED]
    kept = [w for w, share in tried if share >= 0.99]
    return (max(kept) if kept else WEIGHTS_TRIED[0]), tried


def feed_study(world: World, steps: int, kind: Any) -> dict[str, Any]:
    feedback = FeedbackConfig(kind)
    reward = RewardConfig()
    env = EnvConfig(K, reward, True, feedback)
    fixed = EnvConfig(K, reward, False, feedback)
    began = time.process_time()
    trained = train_on(
        world.train,
        env=env,
        timesteps=steps,
        seed=world.seed,
        ppo=ppo(steps, warm="marginals"),
        reader=world.reader,
        judge=world.judge,
    )
    cpu = time.process_time() - began
    bank = world.bank("test", world.reader)
    feeders = {"open_loop": open_loop, "adaptive_greedy": adaptive_greedy, "replanning": replanning}
    rows = {name: average(bank, fixed, make(bank, reward, K)) for name, make in feeders.items()}
    rows["rl"] = average(bank, fixed, by_network(trained.network))
    print(
        world.seed,
        kind,
        {name: round(float(np.mean(r["true_reward"])), 4) for name, r in rows.items()},
        f"train {cpu:.0f}s",
        flush=True,
    )
    return {"cpu_s": cpu, "rankers": rows, "curve": [[p.x, p.y] for p in trained.learning_curve]}


def average(bank: Bank, env: EnvConfig, feeder: Any) -> dict[str, list[float]]:
    played = [play(bank, env, feeder, seed=repeat) for repeat in range(FEED_REPEATS)]
    return {
        "true_reward": np.mean([p.reward for p in played], axis=0).round(5).tolist(),
        "seen": np.mean([p.seen for p in played], axis=0).round(3).tolist(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("outputs/rl_study"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--mode", choices=("all", "list", "click", "dwell"), default="all")
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--feed-steps", type=int, default=200_000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for seed in range(1, arguments.seeds + 1):
        world: World | None = None
        for mode in ("list", "click", "dwell") if arguments.mode == "all" else (arguments.mode,):
            path = arguments.work / f"{mode}-{seed}.json"
            if path.is_file():
                continue
            world = world or World(seed)
            found = (
                list_study(world, arguments.steps) if mode == "list" else feed_study(world, arguments.feed_steps, mode)
            )
            atomic_write(path, json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
