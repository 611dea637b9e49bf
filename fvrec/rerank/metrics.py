"""List metrics, each with its formula and a worked example. One scorer: reports, rewards and tests call these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fvrec.errors import FvrecError
from fvrec.rerank.pool import UNKNOWN_CODES
from fvrec.schema import UNKNOWN


def ndcg(gains_in_order: ArrayLike, all_gains: ArrayLike, k: int) -> float:
    """Normalised discounted cumulative gain of the first ``k`` (Järvelin & Kekäläinen, 2002), gains taken as they are.

    ``DCG = sum_i g_i / log2(i + 1)`` over positions i = 1..k of the list; divided by the DCG of the ``k`` largest of
    ``all_gains`` (every candidate's gain). 0 when no candidate has any gain. Gains must not be negative.

    >>> round(ndcg([0, 1], [1, 0, 0], k=2), 4)  # 1/log2(3) over 1/log2(2)
    0.6309
    """
    _check_k(k)
    shown, ideal = _gains(gains_in_order)[:k], -np.sort(-_gains(all_gains))[:k]
    best = float(ideal @ _discounts(ideal.size))
    return float(shown @ _discounts(shown.size)) / best if best > 0.0 else 0.0


def ild(embeddings: NDArray[np.floating], k: int) -> float:
    """Intra-list diversity of the first ``k`` (Zhang & Hurley, 2008): mean cosine distance over all pairs.

    ``ILD = 2 / (n (n - 1)) * sum_{i<j} (1 - cos(e_i, e_j))`` with n = min(k, rows). ``embeddings``: ``[L, D]`` in list
    order, of any length; a zero row is at distance 1 from every other. 0 for fewer than two items.

    >>> ild(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), k=3)  # pairs: 1, 0, 1
    0.6666666666666666
    """
    _check_k(k)
    rows = np.asarray(embeddings, dtype=np.float64)[:k]
    if rows.ndim != 2 or not np.isfinite(rows).all():
        raise FvrecError("embeddings must be finite and one row per item", found=rows.shape, allowed="[L, D]")
    n = len(rows)
    if n < 2:
        return 0.0
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0.0)
    first, second = np.triu_indices(n, 1)
    return float((1.0 - (unit @ unit.T)[first, second]).mean())


def coverage(values: NDArray[np.int16], k: int, pool_values: NDArray[np.int16]) -> float:
    """Attribute coverage of the first ``k``: distinct known values shown, over the most that ``k`` items could show.

    ``sum_f |known values of field f in the first k| / sum_f min(k, |known values of field f in the pool|)``; the
    denominator bounds each field alone, so 1 may be out of reach when fields compete. ``values``: ``[L, 10]`` codes
    in list order, ``pool_values``: ``[N, 10]`` (``fvrec.rerank.pool.encode_values``). 0 when the pool knows nothing.

    >>> from fvrec.rerank.pool import encode_values
    >>> pool = encode_values([{"color": "red"}, {"color": "red"}, {"color": "blue"}])
    >>> coverage(pool[:2], 2, pool)  # red alone, where two items could show red and blue
    0.5
    """
    _check_k(k)
    possible = sum(min(k, distinct) for distinct in _distinct_known(pool_values))
    return sum(_distinct_known(np.asarray(values)[:k])) / possible if possible else 0.0


def constraint_satisfaction(
    attributes: Sequence[Mapping[str, str]],
    wanted: Mapping[str, frozenset[str]],
    excluded: Mapping[str, frozenset[str]],
    k: int,
) -> float:
    """Mean over the first ``k`` items of the share of constraints that the item meets.

    ``1 / (n C) * sum_i sum_c met(i, c)``, n = min(k, items), C = wanted fields + excluded fields. A wish is met when
    the value is one of the wanted; an exclusion when the value is known and none of the excluded: ``unknown`` meets
    nothing. NaN without constraints or without items.

    >>> shown = [{"color": "blue"}, {"color": "red"}]
    >>> constraint_satisfaction(shown, {"color": frozenset({"blue"})}, {}, k=2)
    0.5
    """
    _check_k(k)
    shares = [satisfied_share(row, wanted, excluded) for row in attributes[:k]]
    return float(np.mean(shares)) if shares else float("nan")


def satisfied_share(
    attributes: Mapping[str, str], wanted: Mapping[str, frozenset[str]], excluded: Mapping[str, frozenset[str]]
) -> float:
    """The share of the constraints that one item meets (see ``constraint_satisfaction``); NaN without constraints."""
    met = [attributes.get(field, UNKNOWN) in values for field, values in wanted.items()]
    met += [attributes.get(field, UNKNOWN) not in values | {UNKNOWN} for field, values in excluded.items()]
    return sum(met) / len(met) if met else float("nan")


def explanation_faithfulness(claims: ArrayLike, hallucinated: ArrayLike, k: int) -> float:
    """Mean over the first ``k`` explanations of the share of claims that the item's JSON bears out.

    ``1/n * sum_i (claims_i - hallucinated_i) / claims_i``; an explanation that claims nothing explains nothing and
    counts 0. ``claims``, ``hallucinated``: one count per list position. NaN for an empty list.

    >>> explanation_faithfulness([2, 4], [0, 1], k=10)  # (2/2 + 3/4) / 2
    0.875
    """
    _check_k(k)
    made, false = np.asarray(claims, dtype=np.float64)[:k], np.asarray(hallucinated, dtype=np.float64)[:k]
    if made.shape != false.shape or (false > made).any() or (false < 0).any():
        raise FvrecError("each explanation needs 0 <= hallucinated <= claims", found=(made.tolist(), false.tolist()))
    if made.size == 0:
        return float("nan")
    return float(np.divide(made - false, made, out=np.zeros_like(made), where=made > 0).mean())


def _check_k(k: int) -> None:
    if k < 1:
        raise FvrecError("the list length must be positive", where="k", found=k, allowed="1 or more")


def _gains(gains: ArrayLike) -> NDArray[np.float64]:
    result = np.asarray(gains, dtype=np.float64)
    if result.ndim != 1 or not np.isfinite(result).all() or (result < 0.0).any():
        raise FvrecError("gains must be finite, not negative, and one per item", found=result.shape)
    return result


def _discounts(size: int) -> NDArray[np.float64]:
    return np.asarray(1.0 / np.log2(np.arange(2, size + 2)), dtype=np.float64)


def _distinct_known(values: NDArray[np.int16]) -> list[int]:
    codes = np.asarray(values)
    return [len(set(codes[:, field].tolist()) - {int(UNKNOWN_CODES[field])}) for field in range(codes.shape[1])]
