"""What the seeds of ``benchmarks.rl_study`` come to: levels, paired differences, hypervolumes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fvrec.rl.sweeps import hypervolume_draws
from fvrec.stats import Interval, bootstrap_mean, holm, paired_difference, paired_p_value

OURS = ("rl", "rl_swap", "rl_best_of_16")
LIST_METRICS = ("true_reward", "ndcg", "ild", "coverage", "ild_attributes", "long_tail")
RESAMPLES = 1000
Row = dict[str, Any]


def read_work(work: Path) -> dict[str, list[Row]]:
    """mode -> the finished seeds in order."""
    found: dict[str, list[Row]] = {}
    for path in sorted(work.glob("*-*.json")):
        mode, seed = path.stem.rsplit("-", 1)
        found.setdefault(mode, []).append({"seed": int(seed), **json.loads(path.read_text(encoding="utf-8"))})
    return found


def summarise(seeds: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    """All modes; nothing per user is kept."""
    return {mode: _mode(mode, rows) for mode, rows in seeds.items()}


def _mode(mode: str, seeds: Sequence[Row]) -> dict[str, Any]:
    names = list(seeds[0]["rankers"])
    metrics = [m for m in (*LIST_METRICS, "seen") if m in seeds[0]["rankers"][names[0]]]
    summary: dict[str, Any] = {
        "seeds": [row["seed"] for row in seeds],
        "training_cpu_s": [round(row["cpu_s"], 1) for row in seeds],
        "levels": {
            name: {m: _as_row(bootstrap_mean(_users(seeds, name, m), seed=0)) for m in metrics} for name in names
        },
        "per_seed": {
            name: [round(float(np.mean(row["rankers"][name]["true_reward"])), 4) for row in seeds] for name in names
        },
        "differences": {ours: _differences(seeds, ours, names) for ours in OURS if ours in names},
    }
    for key in ("default", "tried", "trade_offs", "oracle_proven", "ms_per_list", "start"):
        if key in seeds[0]:
            summary[key] = [row[key] for row in seeds]
    if "oracle" in names:
        summary["of_oracle"] = {name: _ratio(seeds, name, "oracle") for name in names}
    if "ceiling" in names:
        summary["of_ceiling"] = {name: _ratio(seeds, name, "ceiling") for name in names}
    if "sweeps" in seeds[0]:
        summary["hypervolumes"] = _hypervolumes(seeds)
        summary["curves"] = _curves(seeds)
    if "curve" in seeds[0]:
        summary["learning"] = [row["curve"] for row in seeds]
    return summary


def _users(seeds: Iterable[Row], name: str, metric: str) -> NDArray[np.float64]:
    """One number a user, the seeds one after the other: no user is in two."""
    return np.concatenate([np.asarray(row["rankers"][name][metric], dtype=np.float64) for row in seeds])


def _differences(seeds: Sequence[Row], ours: str, names: Iterable[str]) -> dict[str, Row]:
    others = [name for name in names if name not in (ours, "oracle", "ceiling")]
    mine = _users(seeds, ours, "true_reward")
    pairs = {name: mine - _users(seeds, name, "true_reward") for name in others}
    corrected = holm({name: paired_p_value(one) for name, one in pairs.items()})
    found = {}
    for name, difference in pairs.items():
        gain = paired_difference(difference, np.zeros_like(difference), seed=0)
        means = [float(part.mean()) for part in np.split(difference, len(seeds))]
        found[name] = {
            **_as_row(gain),
            "p_holm": float(f"{corrected[name]:.2g}"),
            "per_seed": _rounded(means),
        }
    return found


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 4) for value in values]


def _ratio(seeds: Sequence[Row], name: str, of: str) -> float:
    return round(float(_users(seeds, name, "true_reward").mean() / _users(seeds, of, "true_reward").mean()), 4)


def _hypervolumes(seeds: Sequence[Row]) -> dict[str, Row]:
    """Mean over the seeds of each sweep's hypervolume, and the policies' lead; intervals over users within seeds."""
    rng = np.random.default_rng(0)
    parts = []
    for row in seeds:
        base = np.asarray(row["rankers"]["base_rank"]["ndcg"])
        sweeps = {
            name: [np.array([point[m] for point in points]) for m in ("ndcg", "ild")]
            for name, points in row["sweeps"].items()
        }
        samples = [rng.integers(len(base), size=len(base)) for _ in range(RESAMPLES)]
        parts.append({name: hypervolume_draws(ndcg, ild, base, samples) for name, (ndcg, ild) in sweeps.items()})
    means = {name: np.mean([part[name] for part in parts], axis=0) for name in parts[0]}
    found = {}
    for name, values in means.items():
        leads = {f"{ours}_minus_this": _drawn(means[ours] - values) for ours in OURS if ours in means}
        found[name] = {**_drawn(values), "points": len(seeds[0]["sweeps"][name]), **leads}
    return found


def _drawn(values: NDArray[np.float64]) -> Row:
    low, high = np.percentile(values[1:], [2.5, 97.5])
    return {"value": round(float(values[0]), 5), "low": round(float(low), 5), "high": round(float(high), 5)}


def _curves(seeds: Sequence[Row]) -> dict[str, list[list[float]]]:
    """Of each sweep: mean NDCG and mean ILD of every setting."""
    return {
        name: [
            [round(float(np.mean([np.mean(row["sweeps"][name][i][m]) for row in seeds])), 4) for m in ("ndcg", "ild")]
            for i in range(len(points))
        ]
        for name, points in seeds[0]["sweeps"].items()
    }


def _as_row(interval: Interval) -> Row:
    return {
        "value": round(interval.value, 4),
        "low": round(interval.low, 4),
        "high": round(interval.high, 4),
        "n": interval.n,
    }


def shown(row: Mapping[str, float]) -> str:
    """``value [low, high]``."""
    return f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"


def signed(row: Mapping[str, float]) -> str:
    """As ``shown``, with a sign and a digit more."""
    return f"{row['value']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"


def tables(summary: Mapping[str, Any]) -> dict[str, str]:
    """mode -> its tables in Markdown."""
    return {mode: "\n\n".join(_tables(mode, found)) for mode, found in summary.items()}


def _tables(mode: str, found: Mapping[str, Any]) -> Iterable[str]:
    metrics = [m for m in (*LIST_METRICS, "seen") if m in next(iter(found["levels"].values()))]
    ratios = [name for name in ("of_oracle", "of_ceiling") if name in found]
    yield _table(
        ["ranker", *metrics, *ratios],
        [
            [name, *(shown(row[m]) for m in metrics), *(f"{found[r][name]:.3f}" for r in ratios)]
            for name, row in found["levels"].items()
        ],
    )
    for ours, others in found["differences"].items():
        yield f"True reward, `{ours}` minus the other, the same users:"
        yield _table(
            ["against", "difference", "p (Holm)", "each seed"],
            [
                [name, signed(row), f"{row['p_holm']:.2g}", ", ".join(f"{v:+.4f}" for v in row["per_seed"])]
                for name, row in others.items()
            ],
        )
    if "hypervolumes" in found:
        swept = [ours for ours in OURS if ours in found["hypervolumes"]]
        yield "Hypervolume of (NDCG, ILD), reference point Base's NDCG − 0.1 and ILD 0:"
        yield _table(
            ["sweep", "points", "hypervolume", *(f"{ours} minus this" for ours in swept)],
            [
                [name, str(row["points"]), _fine(row), *(_fine(row[f"{ours}_minus_this"]) for ours in swept)]
                for name, row in found["hypervolumes"].items()
            ],
        )


def _fine(row: Mapping[str, float]) -> str:
    return f"{row['value']:.5f} [{row['low']:.5f}, {row['high']:.5f}]"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
