"""How long does it take to read a request?

    python -m benchmarks.parser --json parser.json [--rounds 20]

CPU time. Requests: the handwritten ones of up to 60 characters, each parsed once a round in one warm process; and
hostile texts of 2,500 and 10,000 characters, whose ratio of times is 4 for a parser of linear time and 16 for a
quadratic one. Exit status 1 when the 95th percentile exceeds ``LIMIT_MS`` or a ratio exceeds ``LIMIT_RATIO``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fvrec.artifacts import atomic_write
from fvrec.rerank.constraints import parse
from fvrec.rerank.handwritten import SETS, handwritten

LIMIT_MS, LIMIT_RATIO = 1.0, 10.0
LONGEST_TYPICAL = 60
HOSTILE = ("不", "ideally red ", "no red, ", "黑不要 ", "不要红换", "qwxrt ", "cotton or ", "any colour but ")


def measure(rounds: int) -> dict[str, float]:
    """``p50_ms``, ``p95_ms``, ``requests``, and ``ratio <piece>`` for every hostile text."""
    texts = [case.text for name in SETS for case in handwritten(name) if len(case.text) <= LONGEST_TYPICAL]
    parse("warm up")
    times = [_seconds(text) * 1e3 for _ in range(rounds) for text in texts]
    found = {
        "requests": float(len(texts)),
        "p50_ms": float(np.median(times)),
        "p95_ms": float(np.quantile(times, 0.95)),
    }
    for piece in HOSTILE:
        short, long = (min(_seconds(piece * (size // len(piece))) for _ in range(5)) for size in (2_500, 10_000))
        found[f"ratio {piece.strip()}"] = long / short
    return found


def _seconds(text: str) -> float:
    begin = time.process_time()
    parse(text)
    return time.process_time() - begin


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write, print; see the module's docstring."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--json", type=Path, required=True)
    options.add_argument("--rounds", type=int, default=20)
    chosen = options.parse_args(arguments)
    found = measure(chosen.rounds)
    atomic_write(chosen.json, json.dumps(found, ensure_ascii=False, indent=2) + "\n")
    for name, value in found.items():
        print(f"{name:24} {value:8.3f}")
    ratios = [value for name, value in found.items() if name.startswith("ratio")]
    return int(found["p95_ms"] > LIMIT_MS or max(ratios) > LIMIT_RATIO)


if __name__ == "__main__":
    sys.exit(main())
