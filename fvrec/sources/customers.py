"""Real customers: purchases that a source tells of -> users and interactions, with every row accounted for."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from fvrec.catalog.grouping import split_of
from fvrec.errors import SanityError
from fvrec.records import Interaction, Item, Metric, Quarantined, User
from fvrec.schema import FIELDS, UNKNOWN
from fvrec.sources.base import Purchase, PurchaseSource, Source

CUSTOMERS = 20_000
"""How many customers are kept at most: the full H&M table tells of 1.36 million, with 31.8 million purchases."""
PURCHASE = "purchase"
NOT_AN_ITEM, NOT_SAMPLED = "not_an_item", "customer_not_sampled"


@dataclass(frozen=True)
class Customers:
    """Who bought what. rows_in = interactions + dropped, per reason (``not_an_item``, ``bad_date`` …)."""

    users: tuple[User, ...]
    interactions: tuple[Interaction, ...]
    rows_in: int
    dropped: Mapping[str, int]


def read_customers(source: Source, items: Sequence[Item], *, seed: int, limit: int = CUSTOMERS) -> Customers | None:
    """The customers of ``source`` who bought one of ``items``; None when the source knows no purchases.

    limit: keep so many customers, chosen by ``seed``; which ones does not depend on the order of the rows, and a longer
    table changes the choice only by the customers that it adds. SanityError when a row is not accounted for.
    """
    if not isinstance(source, PurchaseSource):
        return None
    sample = _Sample(limit, seed)
    known, dropped, rows_in = {item.item_id for item in items}, Counter[str](), 0
    for row in source.purchases():
        rows_in += 1
        if isinstance(row, Quarantined):
            dropped[row.reason] += 1
        elif row.item_id not in known:
            dropped[NOT_AN_ITEM] += 1
        else:
            dropped[NOT_SAMPLED] += sample.add(row)
    if not rows_in:
        return None
    interactions = tuple(
        Interaction(each.user_id, each.item_id, source.name, PURCHASE, each.at) for each in sample.kept()
    )
    _account(source, rows_in, len(interactions), dropped)
    users = tuple(_users(source.name, interactions, items))
    return Customers(users, interactions, rows_in, {k: n for k, n in sorted(dropped.items()) if n})


def profile_customers(customers: Customers, source: str) -> list[Metric]:
    """Metrics of stage ``ingest``: customers, purchase_rows_in, purchases, purchases_dropped (``slice``: reason)."""
    metric = partial(Metric, stage="ingest", source=source, n=customers.rows_in)
    return [
        metric(metric="customers", value=len(customers.users)),
        metric(metric="purchase_rows_in", value=customers.rows_in),
        metric(metric="purchases", value=len(customers.interactions)),
        *(metric(metric="purchases_dropped", slice=reason, value=n) for reason, n in customers.dropped.items()),
    ]


class _Sample:
    """The ``limit`` customers with the smallest hashes of all that were seen, and their purchases (bottom-k sampling).

    Memory holds the purchases of those customers only.
    """

    def __init__(self, limit: int, seed: int) -> None:
        self._limit, self._seed = limit, seed
        self._purchases: dict[str, list[Purchase]] = {}
        self._largest: list[tuple[int, str]] = []  # a heap with the largest hash on top

    def add(self, purchase: Purchase) -> int:
        """Take one purchase; returns how many purchases are now out of the sample that were not before."""
        mine = self._purchases.get(purchase.user_id)
        if mine is not None:
            mine.append(purchase)
            return 0
        rank = int.from_bytes(hashlib.blake2b(f"{self._seed}:{purchase.user_id}".encode(), digest_size=8).digest())
        if len(self._largest) < self._limit:
            heapq.heappush(self._largest, (-rank, purchase.user_id))
        elif rank >= -self._largest[0][0]:
            return 1
        else:
            _, loser = heapq.heapreplace(self._largest, (-rank, purchase.user_id))
            self._purchases[purchase.user_id] = [purchase]
            return len(self._purchases.pop(loser))
        self._purchases[purchase.user_id] = [purchase]
        return 0

    def kept(self) -> Iterator[Purchase]:
        """Customer by customer, by id; each one's purchases in time."""
        for user_id in sorted(self._purchases):
            yield from sorted(self._purchases[user_id], key=lambda each: (each.at, each.item_id))


def _account(source: Source, rows_in: int, kept: int, dropped: Counter[str]) -> None:
    if rows_in != kept + dropped.total():
        raise SanityError(
            "a purchase is not accounted for", where=source.name, found=f"{rows_in} in, {kept} kept, {dict(dropped)}"
        )


def _users(source: str, interactions: Iterable[Interaction], items: Sequence[Item]) -> Iterator[User]:
    """One user a customer: how often the values of each field occur among what was bought, as shares."""
    values = {item.item_id: item.values for item in items}
    bought: dict[str, list[Mapping[str, str]]] = {}
    for one in interactions:
        bought.setdefault(one.user_id, []).append(values[one.item_id])
    for user_id, products in bought.items():
        taste = {field: _shares(product[field] for product in products) for field in FIELDS}
        yield User(user_id, source, split_of(f"user:{user_id}"), taste, taste)


def _shares(values: Iterable[str]) -> dict[str, float]:
    """value -> share of the known ones, summing to 1; all on ``unknown`` when none is known."""
    counts = Counter(value for value in values if value != UNKNOWN)
    total = counts.total()
    return {value: count / total for value, count in sorted(counts.items())} or {UNKNOWN: 1.0}
