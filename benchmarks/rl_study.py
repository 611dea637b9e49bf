"""The full study of the list policy on drawn catalogues: some seeds, every baseline, sweeps, both modes.

    python -m benchmarks.rl_study --json docs/results/benchmarks/rl_study.json [--seeds 5] [--mode list click known]

Train, val and test have items and users of their own; the world's habits are the same. Baselines are tuned on val, the
checkpoint is chosen on items and users of its own. Differences are paired; intervals are bootstraps over users (each
user once a seed, all seeds together). ``--steps`` sets PPO's steps for a list, ``--feed-steps`` for a feed. What is
finished is kept in ``--work`` (a folder) and not made again; what other code or other sizes made is refused. Mode
``known``: rankers know relevance and attributes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.rl_study_report import read_work, summarise, tables
from fvrec.artifacts import atomic_write, digest_file, digest_json
from fvrec.closure import code_digest
from fvrec.rl.bank import Bank
from fvrec.rl.baselines import base_lists, problem_of, search_lists
from fvrec.rl.compare import (
    SWEPT_WEIGHTS,
    TRADE_OFFS,
    at_weights,
    best_of_samples,
    default_weight,
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
from fvrec.rl.oracle import best_by_search, optimum, truth_of
from fvrec.rl.playing import by_network, play
from fvrec.rl.reader import Reader, ReaderConfig, fit_reader
from fvrec.rl.requests import Request, RequestSampler
from fvrec.rl.reward import RewardConfig, list_rewards
from fvrec.rl.search import Problem, greedy, swap
from fvrec.rl.serve import SWAPS
from fvrec.rl.synthetic import synthetic_items
from fvrec.rl.train import PpoConfig, isolated_torch, train_on
from fvrec.rl.users import sample_population

K, POOL = 10, 50
FEED_REPEATS = 10
PROOF_NODES = 1000
MODES = ("list", "click", "dwell", "known")


class World:
    """Catalogues, users and readers of one seed."""

    def __init__(self, seed: int, *, items: int = 2000, users: int = 1000) -> None:
        self.seed, self.items, self.users = seed, items, users
        tables = [synthetic_items(items, seed=10 * seed + part) for part in range(4)]
        splits = ("train", "val", "val", "test")
        self.train, self.judge, self.val, self.test = (
            self._sampler(table, split, users, seed + part)
            for part, (table, split) in enumerate(zip(tables, splits, strict=True))
        )
        rng = np.random.default_rng([seed, 1])
        shown = [self.train.sample(rng) for _ in range(2 * users)]
        with isolated_torch():
            self.reader = fit_reader(tables[0], shown, seed=seed)
            self.supervised = fit_reader(tables[0], shown, seed=seed, config=ReaderConfig(denoise=False))
        self.val_requests = self.val.of_every_user(seed=seed)[:400]
        self.test_requests = self.test.of_every_user(seed=seed)

    @staticmethod
    def _sampler(table: ItemTable, split: Any, users: int, seed: int) -> RequestSampler:
        crowd = sample_population(table, n=users, split=split, seed=seed)
        return RequestSampler(table, crowd.users, POOL, crowd.interactions)

    def ceiling_reader(self) -> Reader:
        """A reader of twice the width that was fitted on four times as many items, users and requests."""
        table = synthetic_items(4 * self.items, seed=10 * self.seed + 7)
        sampler, rng = (
            self._sampler(table, "train", 4 * self.users, self.seed + 7),
            np.random.default_rng([self.seed, 2]),
        )
        shown = [sampler.sample(rng) for _ in range(8 * self.users)]
        with isolated_torch():
            return fit_reader(table, shown, seed=self.seed, config=ReaderConfig(hidden=96, item_epochs=800))

    def bank(self, part: str, reader: Reader | None) -> Bank:
        return Bank.of(self.val_requests if part == "val" else self.test_requests, reader)


def ppo(world: World, **changes: Any) -> PpoConfig:
    return PpoConfig(**{"bank": min(1536, 2 * world.users), "warm_epochs": 8, **changes})


def only_warm(world: World, warm: str) -> PpoConfig:
    """What a policy is before reinforcement: one list of PPO at a rate that moves nothing."""
    return ppo(world, warm=warm, learning_rate=1e-9, num_envs=1, lists_per_rollout=1, rounds=1)


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
        world.train, env=env, timesteps=steps, seed=world.seed, ppo=ppo(world), reader=world.reader, judge=world.judge
    )
    cpu = time.process_time() - began
    starts = {
        name: train_on(
            world.train,
            env=env,
            timesteps=1,
            seed=world.seed,
            ppo=only_warm(world, warm),
            reader=world.reader,
            judge=world.judge,
        )
        for name, warm in (("marginals", "marginals"), ("cloned", "both"))
    }
    chosen, tried = default_weight(trained.ranker(), world.val_requests, of("val", world.reader), of("val", None), K)
    reward, test = RewardConfig(), of("test", None)
    trade_offs = tuned(of("val", None), K, reward)
    print(world.seed, "rule", chosen, "trade-offs", trade_offs, f"train {cpu:.0f}s", flush=True)
    rows: dict[str, Any] = {}
    spent: dict[str, float] = {}

    def add(name: str, lists: Callable[[], np.ndarray]) -> None:
        start = time.process_time()
        found = lists()
        spent[name] = round(1000 * (time.process_time() - start) / len(found), 4)
        rows[name] = record(found, test, world, reward)

    for ranker in line_up(trade_offs, reward, supervised=world.supervised, reader=world.reader):
        bank = without_truth(of("test", ranker.reader))
        add(ranker.name, partial(ranker.lists, bank, K))
    bank = without_truth(of("test", world.reader))
    for policy in networks(trained, starts):
        add(policy.name, partial(at_weights(policy, reward.redundancy).rank_bank, bank, K))
    add("rl_best_of_16", partial(best_of_samples, trained.ranker(), bank, K, samples=16, seed=world.seed))
    ceiling = without_truth(Bank.of(world.test_requests, world.ceiling_reader()))
    add("ceiling", partial(thorough, ceiling, reward))
    truth = truth_of(test, np.arange(len(test)), reward)
    add("oracle", partial(best_by_search, truth, K))
    sweeps = {
        name: [swept(diversifier(name, t)(without_truth(test), K), test, world, reward) for t in TRADE_OFFS]
        for name in trade_offs
    }
    # The same four on what the reader believes: what they owe to the attributes as predicted, and what to the rule.
    sweeps |= {
        f"denoised_{name}": [swept(diversifier(name, t)(bank, K), test, world, reward) for t in TRADE_OFFS]
        for name in trade_offs
    }
    for policy in (trained.ranker(), trained.ranker(swaps=SWAPS, name="rl_swap")):
        made = (at_weights(policy, weight).rank_bank(bank, K) for weight in SWEPT_WEIGHTS)
        sweeps[policy.name] = [swept(lists, test, world, reward) for lists in made]
    return {
        "default": chosen,
        "tried": list(tried.items()),
        "trade_offs": trade_offs,
        "cpu_s": cpu,
        "ms_per_list": spent,
        "oracle_proven": proven(truth),
        "rankers": rows,
        "sweeps": sweeps,
        "curve": [[p.curve, p.x, p.y] for p in (*trained.learning_curve, *trained.diagnostics)],
    }


def thorough(bank: Bank, reward: RewardConfig) -> np.ndarray:
    """Exchange over the whole pool until nothing gains: with the ceiling's reader, what can be known at best."""
    problem = problem_of(bank, np.arange(len(bank.beliefs)), reward)
    return swap(problem, greedy(problem, K), sweeps=4, shortlist=POOL)


def proven(truth: Problem, rows: int = 10) -> dict[str, float]:
    """Branch and bound on the first pools: optima that it proves, and the oracle's reward over the bounds."""
    found = [optimum(truth, row, K, nodes=PROOF_NODES) for row in range(rows)]
    searched = truth.rewards(best_by_search(truth, K)[:, None])[:rows, 0]
    return {
        "pools": rows,
        "proven": sum(bool(one.proven) for one in found),
        "oracle_over_bound": round(float(np.sum(searched) / sum(one.bound for one in found)), 5),
    }


def known_study(world: World, steps: int) -> dict[str, Any]:
    """Rankers know the reward: relevance is true, attributes are true and certain."""
    reward = RewardConfig()
    train, judge, test = (KnownSource(part) for part in (world.train, world.judge, world.test))
    began = time.process_time()
    trained = train_on(
        train, env=EnvConfig(K, reward), timesteps=steps, seed=world.seed, ppo=ppo(world), reader=world.reader,
        judge=judge,
    )  # fmt: skip
    cpu = time.process_time() - began
    bank = Bank.of([test.known(request) for request in world.test_requests[:300]], world.reader)
    truth = truth_of(bank, np.arange(len(bank)), reward)
    lists = {
        "base_rank": base_lists(bank, K),
        "greedy": search_lists("greedy", reward)(bank, K),
        "swap": search_lists("swap", reward)(bank, K),
        "rl": trained.ranker().rank_bank(bank, K),
        "rl_swap": trained.ranker(swaps=SWAPS).rank_bank(bank, K),
        "oracle": best_by_search(truth, K),
    }
    earned = {name: list_rewards(bank, found, reward).round(5) for name, found in lists.items()}
    print(world.seed, "known", {name: round(float(r.mean()), 4) for name, r in earned.items()}, flush=True)
    return {"cpu_s": cpu, "oracle_proven": proven(truth), "rankers": _as_rows(earned)}


def _as_rows(earned: dict[str, np.ndarray]) -> dict[str, dict[str, list[float]]]:
    return {name: {"true_reward": values.tolist()} for name, values in earned.items()}


class KnownSource:
    """The requests of a sampler with nothing hidden: the pool's relevance and values are the true ones."""

    def __init__(self, sampler: RequestSampler) -> None:
        self._sampler, self.pool_size = sampler, sampler.pool_size

    def sample(self, rng: np.random.Generator) -> Request:
        return self.known(self._sampler.sample(rng))

    @staticmethod
    def known(request: Request) -> Request:
        pool = replace(request.pool, relevance=request.true_relevance, values=request.true_values, confidence=None)
        return replace(request, pool=pool)


def swept(lists: np.ndarray, bank: Bank, world: World, reward: RewardConfig) -> dict[str, list[float]]:
    found = judged(bank, world.test_requests, lists, reward)
    return {"ndcg": found.scores.ndcg.round(5).tolist(), "ild": found.scores.ild.round(5).tolist()}


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
        ppo=ppo(world, warm="clone"),
        reader=world.reader,
        judge=world.judge,
    )
    cpu = time.process_time() - began
    starts = {
        name: train_on(
            world.train, env=env, timesteps=1, seed=world.seed, ppo=only_warm(world, warm), reader=world.reader,
            judge=world.judge,
        )
        for name, warm in (("marginals", "marginals"), ("cloned", "clone"))
    }  # fmt: skip
    bank = world.bank("test", world.reader)
    feeders = {"open_loop": open_loop, "adaptive_greedy": adaptive_greedy, "replanning": replanning}
    rows = {name: average(bank, fixed, make(bank, reward, K)) for name, make in feeders.items()}
    rows |= {name: average(bank, fixed, by_network(start.network)) for name, start in starts.items()}
    rows["rl"] = average(bank, fixed, by_network(trained.network))
    print(
        world.seed,
        kind,
        {name: round(float(np.mean(r["true_reward"])), 4) for name, r in rows.items()},
        f"train {cpu:.0f}s",
        flush=True,
    )
    curve = [[p.curve, p.x, p.y] for p in (*trained.learning_curve, *trained.diagnostics)]
    return {"cpu_s": cpu, "rankers": rows, "curve": curve}


def average(bank: Bank, env: EnvConfig, feeder: Any) -> dict[str, list[float]]:
    played = [play(bank, env, feeder, seed=repeat) for repeat in range(FEED_REPEATS)]
    return {
        "true_reward": np.mean([p.reward for p in played], axis=0).round(5).tolist(),
        "seen": np.mean([p.seen for p in played], axis=0).round(3).tolist(),
    }


def protocol_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """What seeds must have in common to be put together: the code, and every number that a seed depends on."""
    here = Path(__file__)
    code = digest_json([code_digest("fvrec.rl.train"), code_digest("fvrec.rl.compare"), digest_file(here)])
    sizes = {name: getattr(arguments, name) for name in ("items", "users", "steps", "feed_steps")}
    return {"code": code, **sizes}


def require_protocol(path: Path, protocol: Mapping[str, Any]) -> None:
    """SystemExit when a finished seed was made by other code or with other sizes."""
    made = json.loads(path.read_text(encoding="utf-8")).get("protocol")
    if made != protocol:
        raise SystemExit(f"{path} was made by other code or with other sizes ({made}): give another --work")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("outputs/rl_study"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--mode", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--feed-steps", type=int, default=400_000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    protocol = protocol_of(arguments)
    for seed in range(1, arguments.seeds + 1):
        world: World | None = None
        for mode in arguments.mode:
            path = arguments.work / f"{mode}-{seed}.json"
            if path.is_file():
                require_protocol(path, protocol)
                continue
            world = world or World(seed, items=arguments.items, users=arguments.users)
            if mode in ("click", "dwell"):
                found = feed_study(world, arguments.feed_steps, mode)
            else:
                found = (list_study if mode == "list" else known_study)(world, arguments.steps)
            atomic_write(path, json.dumps({"protocol": protocol, **found}) + "\n")
    summary = summarise(read_work(arguments.work))
    atomic_write(arguments.json, json.dumps(summary, indent=1) + "\n")
    for mode, text in tables(summary).items():
        print(f"\n## {mode}\n\n{text}")


if __name__ == "__main__":
    main()
