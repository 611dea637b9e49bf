"""Runs of ``benchmarks.ablation`` -> docs/results/extraction.md, extraction.json and benchmarks/extraction_runs.json.

    python -m benchmarks.ablation_report RUN.json [RUN.json ...] --out docs/results [--add] [--notes NOTES.md]

The page holds what several seeds of one catalogue come to, and for every run: its facts, E0, E1 and E2 in both modes by
input variant, every field of E2's image-only answers beside the majority share and the anchors, and the paired
differences to the probe. ``extraction.json`` is the list of the runs' rows of ``metrics``, ``extraction_runs.json``
what else is known of each run. ``--add`` keeps the runs that are there (one of the same catalogue, split, preset,
budget and seed is replaced), and without ``--notes`` the words before them.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fvrec.artifacts import atomic_write

Row = Mapping[str, Any]
MODELS = ("base", "sft", "lora")
INPUTS = ("image", "title", "image_title")
KEPT = (
    "json_valid_rate",
    "schema_pass_rate",
    "micro_f1",
    "macro_f1",
    "macro_f1_frequent",
    "accuracy",
    "field_f1",
    "accuracy_difference",
)
OF_E2 = ("ece", "ece_perfect", "ece_accepted", "brier", "accuracy_at_coverage")
"""What is said of confidences: kept of the model whose confidences are used."""
COLUMNS = (
    "source",
    "split",
    "preset",
    "seed",
    "model",
    "inputs",
    "mode",
    "field",
    "metric",
    "slice",
    "params",
    "value",
    "ci_low",
    "ci_high",
    "n",
)
HEAD = """# Extraction on real photos: E0, E1, E2

Made by `python -m benchmarks.ablation_report` from the runs below; their rows are in `extraction.json`. Splits are by
group (design, photo, near-copies); models are calibrated on val, test was read once a run. Intervals: 95 % bootstrap
over products. `constrained` cannot be invalid; in `raw` an invalid answer is wrong.
"""
RUNS_BELOW = "<!-- runs -->"
PAGE, ROWS, RUNS = "extraction.md", "extraction.json", "benchmarks/extraction_runs.json"


def page(runs: Sequence[Mapping[str, Any]], notes: str) -> str:
    """The Markdown page."""
    blocks = [line for part in (_seeds(runs), *map(_run, runs)) for line in part]
    return "\n".join([HEAD, notes.strip("\n"), f"\n{RUNS_BELOW}", *blocks]) + "\n"


def kept(folder: Path) -> tuple[list[dict[str, Any]], list[Row], str]:
    """What an earlier page was made of: its runs with their rows, rows of runs that it does not show, its notes."""
    before = (folder / PAGE).read_text(encoding="utf-8").split(RUNS_BELOW)[0].removeprefix(HEAD)
    rows = json.loads((folder / ROWS).read_text(encoding="utf-8"))
    runs = json.loads((folder / RUNS).read_text(encoding="utf-8"))
    of_runs = {_which(run): {**run, "rows": []} for run in runs}
    others: list[Row] = []
    for row in rows:
        run = of_runs.get(_which({**row, **row["params"]}))
        (run["rows"] if run else others).append(row)
    return list(of_runs.values()), others, before


def _read(path: Path) -> dict[str, Any]:
    """A run with its numbers to six decimals, which is more than any interval here can tell."""
    run: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    shorter = [
        {name: round(value, 6) if isinstance(value, float) else value for name, value in row.items()}
        for row in run["rows"]
    ]
    return {**run, "rows": shorter}


def _is_kept(row: Row) -> bool:
    of_e2 = row["model"] == "lora"
    wanted = row["metric"] in KEPT or (row["metric"] in OF_E2 and of_e2)
    if row["metric"] == "majority_share":  # hangs on no model: once a field is enough
        wanted = of_e2 and (row["inputs"], row["mode"]) == ("image", "constrained")
    return wanted and not math.isnan(row["value"])  # not a number: nothing to score there


def _line(row: Row) -> str:
    return json.dumps(row, separators=(",", ":"))


def _which(run: Mapping[str, Any]) -> tuple[Any, ...]:
    """Tells a run from all others; how many products it was trained on tells one split from another.

    Runs of before budgets had digests have none.
    """
    return (*(run[name] for name in ("source", "preset", "seed", "train")), run.get("budget", ""))


def _seeds(runs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What the seeds of one catalogue and preset come to: means, the lowest and the highest."""
    alike: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for run in runs:
        within = (run[name] for name in ("source", "preset", "years", "added"))
        alike.setdefault((*within, run.get("budget", "")), []).append(run)
    for (source, preset, *_), some in alike.items():
        if len(some) < 2:
            continue
        seeds = ", ".join(str(run["seed"]) for run in some)
        yield f"\n## {source}, preset `{preset}`{_tuned(some[0])}: seeds {seeds} together\n"
        yield "Mean over the seeds, in brackets the lowest and the highest; constrained.\n"
        yield from _table(
            ("model", *(f"micro-F1, {inputs}" for inputs in INPUTS)),
            ((model, *(_over(some, "micro_f1", model, inputs) for inputs in INPUTS)) for model in MODELS),
        )
        yield "\nE2 on the image alone; of how many seeds the paired 95 % interval to the probe lies wholly below zero,"
        yield "and of how many above:\n"
        fields = dict.fromkeys(row["field"] for row in some[0]["rows"] if row["field"])
        yield from _table(
            ("field", "E2", "macro-F1 (≥ 20)", "MLP probe", "E2 - probe, each seed", "below / above", "E2 image_title"),
            (
                (
                    field,
                    _over(some, "accuracy", "lora", "image", field),
                    _over(some, "macro_f1_frequent", "lora", "image", field),
                    _over(some, "accuracy", "mlp_probe", "image", field),
                    *_gains(some, field),
                    _over(some, "accuracy", "lora", "image_title", field),
                )
                for field in fields
            ),
        )


def _tuned(run: Mapping[str, Any]) -> str:
    training = run["training"]
    tower = " with a tuned tower" if training.get("tuning") else ""
    return f"{tower}{' and' if tower else ' with'} swapped photos" if training.get("swapped_photos") else tower


def _over(runs: Sequence[Mapping[str, Any]], metric: str, model: str, inputs: str, field: str = "") -> str:
    found = [_row(run["rows"], metric, model, inputs, "constrained", field) for run in runs]
    values = [row["value"] for row in found if row is not None]
    return f"{sum(values) / len(values):.3f} [{min(values):.3f}, {max(values):.3f}]" if values else ""


def _gains(runs: Sequence[Mapping[str, Any]], field: str) -> tuple[str, str]:
    """Each seed's difference to the probe, and how many intervals are wholly below and above zero."""
    found = [
        _row(run["rows"], "accuracy_difference", "lora", "image", "constrained", field, "mlp_probe") for run in runs
    ]
    gains = [row for row in found if row is not None]
    below, above = sum(row["ci_high"] < 0 for row in gains), sum(row["ci_low"] > 0 for row in gains)
    told = f"{below} / {above} of {len(gains)}" if gains else ""
    return ", ".join(f"{row['value']:+.3f}" for row in gains), told


def _run(run: Mapping[str, Any]) -> Iterator[str]:
    rows = run["rows"]
    what = "public protocol by years" if run["years"] else "split by group"
    yield f"\n## {run['source']}, preset `{run['preset']}`{_tuned(run)}, seed {run['seed']} ({what})\n"
    seconds = ", ".join(f"{name} {value:.0f} s" for name, value in run["seconds"].items())
    budget = {name: value for name, value in run["training"].items() if value not in (None, 0, 0.0, [], False)}
    sizes = f"train {run['train']} products ({run['added']} added), val {run['val']}, test {run['test']}"
    yield f"- {sizes}; split `{run['split_sha256'][:12]}`"
    yield f"- tower {run['tower']}, {run['image_tokens']} image tokens, device {run['device']}: {seconds}"
    yield f"- budget: `{json.dumps(budget)}`\n"
    yield from _table(
        ("model", "inputs", "mode", "json_valid", "schema_pass", "micro-F1 [95 %]", "macro-F1 (≥ 20 items)"),
        (
            (
                model,
                inputs,
                mode,
                _value(rows, "json_valid_rate", model, inputs, mode),
                _value(rows, "schema_pass_rate", model, inputs, mode),
                _value(rows, "micro_f1", model, inputs, mode, interval=True),
                _value(rows, "macro_f1_frequent", model, inputs, mode),
            )
            for model in _models(rows)
            for inputs in INPUTS
            for mode in ("raw", "constrained")
        ),
    )
    yield "\nE2 on the image alone, constrained, beside the anchors (the probe sees the same features):\n"
    yield from _table(
        (
            "field",
            "majority",
            "E2 accuracy [95 %]",
            "E2 macro-F1 (≥ 20)",
            "MLP probe",
            "E2 - probe [95 %]",
            "TF-IDF on the title",
            "E2 image_title",
        ),
        (_field(rows, field) for field in dict.fromkeys(row["field"] for row in rows if row["field"])),
    )
    yield "\nDebiased ECE of E2's confidence, constrained, in 15 bins of equal mass; in brackets the most that perfect"
    yield "calibration gives at this n (95 %). A field misses where it is above both .03 and that:\n"
    yield from _table(
        ("field", *INPUTS, "misses"),
        (_calibration(rows, field) for field in dict.fromkeys(row["field"] for row in rows if row["metric"] == "ece")),
    )


def _calibration(rows: Sequence[Row], field: str) -> tuple[str, ...]:
    def find(metric: str, inputs: str) -> Row | None:
        wanted = (metric, "lora", inputs, "constrained", field, "scaled")
        return next(
            (row for row in rows if (*(row[name] for name in ("metric", "model", "inputs", "mode", "field")),
             row["params"].get("confidence")) == wanted), None,
        )  # fmt: skip

    cells, missed = [], []
    for inputs in INPUTS:
        measured, perfect, accepted = (find(name, inputs) for name in ("ece", "ece_perfect", "ece_accepted"))
        if measured is None or perfect is None or accepted is None:
            cells.append("")
            continue
        cells.append(f"{measured['value']:.3f} [{perfect['ci_high']:.3f}]")
        missed += [] if accepted["value"] else [inputs]
    return (field or "all", *cells, ", ".join(missed))


def _field(rows: Sequence[Row], field: str) -> tuple[str, ...]:
    def of(metric: str, model: str, inputs: str, *, interval: bool = False) -> str:
        return _value(rows, metric, model, inputs, "constrained", field=field, interval=interval)

    return (
        field,
        of("majority_share", "lora", "image"),
        of("accuracy", "lora", "image", interval=True),
        of("macro_f1_frequent", "lora", "image"),
        of("accuracy", "mlp_probe", "image"),
        _value(
            rows, "accuracy_difference", "lora", "image", "constrained", field=field, interval=True, against="mlp_probe"
        ),
        of("accuracy", "tfidf_title", "title"),
        of("accuracy", "lora", "image_title"),
    )


def _models(rows: Sequence[Row]) -> list[str]:
    return [model for model in MODELS if any(row["model"] == model for row in rows)]


def _value(
    rows: Sequence[Row],
    metric: str,
    model: str,
    inputs: str,
    mode: str,
    *,
    field: str = "",
    interval: bool = False,
    against: str | None = None,
) -> str:
    row = _row(rows, metric, model, inputs, mode, field, against)
    if row is None:
        return ""
    shown = f"{row['value']:.3f}"
    return f"{shown} [{row['ci_low']:.3f}, {row['ci_high']:.3f}]" if interval and row["ci_low"] is not None else shown


def _row(
    rows: Sequence[Row], metric: str, model: str, inputs: str, mode: str, field: str = "", against: str | None = None
) -> Row | None:
    wanted = (metric, model, inputs, mode, field, "", against)
    named = ("metric", "model", "inputs", "mode", "field", "slice")
    found = (row for row in rows if (*(row[name] for name in named), row["params"].get("against")) == wanted)
    return next(found, None)


def _table(head: Sequence[str], body: Iterator[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "| " + " | ".join("---" for _ in head) + " |"
    for cells in body:
        yield "| " + " | ".join(cells) + " |"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--notes", type=Path, help="Markdown to stand before the runs: commands, what was tried")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--add", action="store_true", help="keep the runs that the page in --out shows")
    options = parser.parse_args(arguments)
    earlier, others, notes = kept(options.out) if options.add else ([], [], "")
    new = [_read(path) for path in options.runs]
    runs = list({_which(run): run for run in (*earlier, *new)}.values())
    sources = list(dict.fromkeys(run["source"] for run in runs))
    within = ("years", "added", "preset")
    runs.sort(
        key=lambda run: (
            sources.index(run["source"]),
            *(run[name] for name in within),
            run.get("budget", ""),
            run["seed"],
        )
    )
    if options.notes:
        notes = options.notes.read_text(encoding="utf-8")
    atomic_write(options.out / PAGE, page(runs, notes))
    rows = [
        {name: row[name] for name in COLUMNS}
        for row in (*(row for run in runs for row in run["rows"]), *others)
        if _is_kept(row)
    ]
    facts = [{name: value for name, value in run.items() if name != "rows"} for run in runs]
    atomic_write(options.out / ROWS, "[\n" + ",\n".join(map(_line, rows)) + "\n]\n")
    atomic_write(options.out / RUNS, json.dumps(facts, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
