"""Do the lists hold what customers of H&M bought next? Cross-fitted customers, popularity-matched negatives.

    python -m benchmarks.rl_purchases --raw data/raw/hm --json PATH [--folds 3] [--steps 60000] [--bank 1024]

Of each customer with at least four products the first three quarters are known to the rankers, the others are hidden
among candidates that as many other customers bought. Reader and policy learn from the customers of the other folds.
Items are described by H&M's own labels: what is tested is taste, not reading. Gain is 1 for a hidden purchase.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fvrec.artifacts import atomic_write
from fvrec.records import User
from fvrec.rerank.metrics import ndcg
from fvrec.rerank.pool import UNKNOWN_CODES, encode_values
from fvrec.rl.bank import Bank
from fvrec.rl.baselines import base_lists, mmr_lists, search_lists
from fvrec.rl.env import EnvConfig
from fvrec.rl.items import ItemTable
from fvrec.rl.reader import Reader, fit_reader
from fvrec.rl.requests import Request, RequestSampler
from fvrec.rl.reward import RewardConfig
from fvrec.rl.serve import SWAPS
from fvrec.rl.train import PpoConfig, isolated_torch, train_on
from fvrec.rl.users import user_of_purchases
from fvrec.sources.base import Purchase, RawRow
from fvrec.sources.hm import HmSource
from fvrec.stats import bootstrap_mean, holm, paired_difference, paired_p_value

K, POOL, REPEATS, LEAST = 10, 50, 5, 4
POWER = 1.96 + 0.84
"""Standard errors of a difference that is found four times in five, at 5 %."""


@dataclass(frozen=True)
class Customer:
    """Rows of the items, in the order of purchase, one a product."""

    user_id: str
    known: NDArray[np.int64]
    later: NDArray[np.int64]


def read_items(source: HmSource) -> tuple[ItemTable, list[str]]:
    """The articles as they are labelled, and the product that each belongs to."""
    rows = [row for row in source.rows() if isinstance(row, RawRow)]
    values = encode_values([{name: label.value for name, label in row.attributes.items()} for row in rows])
    known = (values != UNKNOWN_CODES).astype(np.float32)
    looks = np.ones((len(rows), 1), dtype=np.float32)
    return ItemTable(tuple(row.item_id for row in rows), values, values, known, looks), [row.group_key for row in rows]


def read_histories(source: HmSource, items: ItemTable, products: list[str]) -> Iterator[Customer]:
    """Customers with at least ``LEAST`` different products."""
    place = {item_id: row for row, item_id in enumerate(items.item_ids)}
    bought: dict[str, dict[str, int]] = {}
    purchases = [one for one in source.purchases() if isinstance(one, Purchase) and one.item_id in place]
    for one in sorted(purchases, key=lambda each: (each.at, each.item_id)):
        bought.setdefault(one.user_id, {}).setdefault(products[place[one.item_id]], place[one.item_id])
    for user_id, rows in sorted(bought.items()):
        if len(rows) >= LEAST:
            cut = -(-3 * len(rows) // 4)
            order = np.array(list(rows.values()))
            yield Customer(user_id, order[:cut], order[cut:])


class Matched:
    """Pools of a customer's later purchases among products that as many other customers bought."""

    def __init__(self, customers: list[Customer], products: list[str]) -> None:
        codes = {name: code for code, name in enumerate(dict.fromkeys(products))}
        self._product = np.array([codes[name] for name in products])
        counts = Counter(code for one in customers for code in set(self._product[self._all(one)].tolist()))
        self._popularity = np.array([counts[code] for code in self._product.tolist()])

    @staticmethod
    def _all(one: Customer) -> NDArray[np.int64]:
        return np.concatenate([one.known, one.later])

    def rows(self, one: Customer, rng: np.random.Generator) -> NDArray[np.int64]:
        """``[POOL]`` candidates in random order: the later purchases, and for each the nearest in popularity."""
        free = rng.permutation(np.flatnonzero(~np.isin(self._product, self._product[self._all(one)])))
        chosen = one.later[: POOL // 2].tolist()
        others = self._popularity[one.later] - 1  # one of its buyers is this customer
        for number, bought in zip(_shares(POOL - len(chosen), len(chosen)), others.tolist(), strict=False):
            apart = np.abs(np.log1p(self._popularity[free]) - np.log1p(bought))
            nearest = np.argsort(apart, kind="stable")[:number]
            chosen += free[nearest].tolist()
            free = np.delete(free, nearest)
        return rng.permutation(np.array(chosen))


def _shares(total: int, parts: int) -> list[int]:
    return [total // parts + (part < total % parts) for part in range(parts)]


def users_of(customers: list[Customer], items: ItemTable) -> list[User]:
    return [
        user_of_purchases(items, one.user_id, known=one.known, later=one.later, split="train", source="hm")
        for one in customers
    ]


def ranked(
    items: ItemTable,
    train: list[Customer],
    test: list[Customer],
    matched: Matched,
    *,
    ppo: PpoConfig,
    steps: int,
    seed: int,
) -> dict[str, NDArray[np.float64]]:
    """ranker -> NDCG@10 of each test customer, over ``REPEATS`` draws of negatives."""
    source = RequestSampler(items, users_of(train, items), POOL)
    rng = np.random.default_rng([seed, 1])
    with isolated_torch():
        reader = fit_reader(items, [source.sample(rng) for _ in range(ppo.bank)], seed=seed)
    trained = train_on(source, env=EnvConfig(K, vary=True), timesteps=steps, seed=seed, ppo=ppo, reader=reader)
    sampler = RequestSampler(items, users_of(test, items), POOL)
    found: dict[str, list[NDArray[np.float64]]] = {}
    for repeat in range(REPEATS):
        draw = np.random.default_rng([seed, 2, repeat])
        requests = [judged_by_purchases(sampler, i, one, matched.rows(one, draw)) for i, one in enumerate(test)]
        for name, lists in lists_of(requests, reader, trained.ranker(), trained.ranker(swaps=SWAPS), draw).items():
            scores = [
                ndcg(request.true_relevance[order], request.true_relevance, K)
                for request, order in zip(requests, lists, strict=True)
            ]
            found.setdefault(name, []).append(np.array(scores))
    return {name: np.mean(parts, axis=0) for name, parts in found.items()}


def judged_by_purchases(sampler: RequestSampler, index: int, one: Customer, rows: NDArray[np.int64]) -> Request:
    return replace(sampler.over(index, rows), true_relevance=np.isin(rows, one.later).astype(np.float32))


def lists_of(
    requests: list[Request], reader: Reader, policy: Any, swapping: Any, rng: np.random.Generator
) -> dict[str, NDArray[np.int64]]:
    reward, plain, read = RewardConfig(), Bank.of(requests), Bank.of(requests, reader)
    return {
        "random": rng.permuted(np.tile(np.arange(POOL), (len(requests), 1)), axis=1)[:, :K],
        "base_rank": base_lists(plain, K),
        "mmr": mmr_lists(0.7)(plain, K),
        "greedy": search_lists("greedy", reward)(plain, K),
        "denoised_swap": search_lists("swap", reward)(read, K),
        "rl": policy.rank_bank(read, K),
        "rl_swap": swapping.rank_bank(read, K),
    }


def summary(scores: dict[str, NDArray[np.float64]]) -> dict[str, Any]:
    """Levels, and the policy's paired differences with the smallest one that these customers could show."""
    differences = {}
    p = {}
    for name, values in scores.items():
        if name != "rl":
            gain = paired_difference(scores["rl"], values, seed=0)
            error = float((scores["rl"] - values).std(ddof=1)) / len(values) ** 0.5
            p[name] = paired_p_value(scores["rl"] - values)
            differences[name] = {**_row(gain), "smallest_detectable": round(POWER * error, 4)}
    for name, corrected in holm(p).items():
        differences[name]["p_holm"] = float(f"{corrected:.2g}")
    return {
        "customers": len(scores["rl"]),
        "ndcg": {name: _row(bootstrap_mean(values, seed=0)) for name, values in scores.items()},
        "rl_minus": differences,
    }


def _row(interval: Any) -> dict[str, float]:
    return {name: round(getattr(interval, name), 4) for name in ("value", "low", "high")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=Path("data/raw/hm"))
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60_000)
    parser.add_argument("--bank", type=int, default=1024, help="requests that a fold trains on")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    source = HmSource(arguments.raw)
    items, products = read_items(source)
    customers = list(read_histories(source, items, products))
    matched = Matched(customers, products)
    fold = np.random.default_rng(arguments.seed).permutation(len(customers)) % arguments.folds
    parts: dict[str, list[NDArray[np.float64]]] = {}
    for number in range(arguments.folds):
        train = [one for one, its in zip(customers, fold, strict=True) if its != number]
        test = [one for one, its in zip(customers, fold, strict=True) if its == number]
        ppo = PpoConfig(bank=arguments.bank)
        scores = ranked(items, train, test, matched, ppo=ppo, steps=arguments.steps, seed=arguments.seed + number)
        print(number, {name: round(float(values.mean()), 4) for name, values in scores.items()}, flush=True)
        for name, values in scores.items():
            parts.setdefault(name, []).append(values)
    found = summary({name: np.concatenate(values) for name, values in parts.items()})
    atomic_write(arguments.json, json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
