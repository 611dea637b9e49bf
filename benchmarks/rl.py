"""How fast are the list environment, the policy and the project's own MMR? Drawn pools; no model is needed.

    python -m benchmarks.rl --json rl.json [--seed 7]

Pools of 100 candidates, lists of 10, one torch thread. Written, exactly:

- ``env_steps_per_s``: transitions of ``ListVecEnv`` a second, as many processes as this machine has cores, at most two,
  each with its own environment of 256 lists (pools of 50, as in training); random allowed actions.
- ``policy_ms_per_list_batch64``, ``policy_ms_single``: a policy's lists of 10 out of 100, reading of the pools
  included, 64 together and one alone; the median. ``shown_ms_single``, ``shown_ms_per_list_batch64``: the same with
  the exchange behind it, as the page shows it (one at a time; together there is no bound).
- ``mmr_ratio_to_pyversity``: time of the project's batched MMR over 64 pools against ``pyversity``'s, pool by pool, on
  the same arrays; both lists are the same.

Exit status 1 when a number is outside its bound (``BOUNDS``).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from pyversity import diversify

from fvrec.artifacts import atomic_write
from fvrec.rl.bank import Bank
from fvrec.rl.baselines import batched_mmr
from fvrec.rl.env import EnvConfig
from fvrec.rl.policy import PolicyConfig, SetNetwork
from fvrec.rl.reader import ReaderConfig, fit_reader
from fvrec.rl.requests import Request, RequestSampler
from fvrec.rl.serve import SWAPS, PolicyRanker
from fvrec.rl.synthetic import synthetic_items
from fvrec.rl.users import sample_users
from fvrec.rl.vec_env import ListVecEnv

BOUNDS: dict[str, Callable[[float], bool]] = {
    "env_steps_per_s": lambda value: value >= 300_000,
    "policy_ms_per_list_batch64": lambda value: value <= 1.0,
    "policy_ms_single": lambda value: value <= 10.0,
    "shown_ms_single": lambda value: value <= 10.0,
    "mmr_ratio_to_pyversity": lambda value: value <= 1.0,
}
N, K, BATCH, ENVS, ENV_POOL = 100, 10, 64, 256, 50
PROCESSES = min(2, os.cpu_count() or 1)


def requests(count: int, pool_size: int, seed: int) -> list[Request]:
    """Requests of drawn users over drawn items."""
    items = synthetic_items(1000, seed=seed)
    sampler = RequestSampler(items, sample_users(items, n=count, split="test", seed=seed), pool_size)
    return sampler.of_every_user(seed=seed)


def env_rate(seed: int, seconds: float = 3.0) -> float:
    """Transitions a second of one process."""
    torch.set_num_threads(1)
    env = ListVecEnv(Bank.of(requests(256, ENV_POOL, seed)), ENVS, EnvConfig(K, vary=True))
    env.seed(seed)
    env.reset()
    orders = np.random.default_rng(seed).permuted(np.tile(np.arange(ENV_POOL), (ENVS, 1)), axis=1)
    for step in range(2 * K):
        env.step(orders[:, step % K])
    steps, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        for position in range(K):
            env.step(orders[:, position])
        steps += K * ENVS
    return steps / (time.perf_counter() - began)


def env_steps_per_s(seed: int) -> float:
    """Transitions a second of all processes together."""
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        return float(sum(pool.map(env_rate, range(seed, seed + PROCESSES), chunksize=1)))


def milliseconds(action: Callable[[], object], repeats: int) -> float:
    """Median time of an action, after two that warm up."""
    times = []
    for _ in range(repeats + 2):
        began = time.perf_counter()
        action()
        times.append(1000.0 * (time.perf_counter() - began))
    return median(times[2:])


def measure(seed: int) -> dict[str, float]:
    """The numbers."""
    shown = requests(BATCH, N, seed)
    pools = [request.pool for request in shown]
    items = synthetic_items(400, seed=seed + 1)
    network = SetNetwork(PolicyConfig())
    reader = fit_reader(items, shown, seed=seed, config=ReaderConfig(item_epochs=5, request_epochs=1))
    ranker, shown_ranker = (PolicyRanker(network, reader=reader, swaps=swaps) for swaps in (0, SWAPS))
    bank = Bank.of(shown)
    relevance, vectors = bank.beliefs.relevance, bank.beliefs.vectors
    theirs = [
        diversify(v, r, K, strategy="mmr", diversity=0.3).indices.tolist()
        for v, r in zip(vectors, relevance, strict=True)
    ]
    ours = batched_mmr(relevance, vectors, K, 0.7).tolist()
    if sum(a == b for a, b in zip(ours, theirs, strict=True)) < 0.9 * BATCH:
        raise SystemExit("the two MMRs disagree: a comparison of their times would mean nothing")
    own = milliseconds(lambda: batched_mmr(relevance, vectors, K, 0.7), 20)
    other = milliseconds(
        lambda: [diversify(v, r, K, strategy="mmr", diversity=0.3) for v, r in zip(vectors, relevance, strict=True)], 20
    )
    return {
        "env_steps_per_s": env_steps_per_s(seed),
        "policy_ms_per_list_batch64": milliseconds(lambda: ranker.rank_many(pools, K), 20) / BATCH,
        "policy_ms_single": milliseconds(lambda: ranker.rank(pools[0], K), 50),
        "shown_ms_single": milliseconds(lambda: shown_ranker.rank(pools[0], K), 50),
        "shown_ms_per_list_batch64": milliseconds(lambda: shown_ranker.rank_many(pools, K), 20) / BATCH,
        "mmr_ratio_to_pyversity": own / other,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = measure(arguments.seed)
    atomic_write(arguments.json, json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))
    missed = [name for name, holds in BOUNDS.items() if not holds(found[name])]
    if missed:
        sys.exit(f"outside its bound: {', '.join(missed)}")


if __name__ == "__main__":
    main()
