"""Commands of the extraction engine: a catalogue to a table, an unseen folder scored, and the HTTP service."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from fvrec.cli.common import (
    LimitOption,
    PresetOption,
    RawOption,
    RootOption,
    RunnerOption,
    SeedOption,
    SourceOption,
    err,
    out,
    settings_from,
)
from fvrec.config import DRAWN, Settings
from fvrec.errors import FvrecError
from fvrec.records import INPUTS

if TYPE_CHECKING:
    from fvrec.evaluation.folder import FolderScores
    from fvrec.records import Inputs, Metric
    from fvrec.vlm.extract import Extractor
    from fvrec.vlm.stream import Product, Streamed

AdapterOption = Annotated[
    Path | None,
    typer.Option("--adapter", "--model", help="Adapter, base or exported bundle [outputs/adapters/sft_lora]."),
]
InputsOption = Annotated[str | None, typer.Option("--inputs", help=f"What the model is shown: {', '.join(INPUTS)}.")]
AbstainOption = Annotated[bool, typer.Option("--abstain", help="Answer unknown below the thresholds set on val.")]


def register(app: typer.Typer) -> None:
    """Add these commands to ``app``."""
    for name, command in (("extract", extract), ("evaluate", evaluate), ("serve-extract", serve_extract)):
        app.command(name)(command)


def extract(
    source: SourceOption = None,
    raw: RawOption = None,
    root: RootOption = None,
    preset: PresetOption = None,
    seed: SeedOption = None,
    limit: LimitOption = None,
    images: Annotated[Path | None, typer.Option("--images", help="Read every picture of this folder.")] = None,
    output: Annotated[Path | None, typer.Option("--out", help="Write a Parquet table [attrs.parquet].")] = None,
    adapter: AdapterOption = None,
    inputs: InputsOption = None,
    abstain: AbstainOption = False,
    restart: Annotated[bool, typer.Option("--restart", help="Begin the table anew.")] = False,
    runner: RunnerOption = None,
) -> None:
    """Extract attributes with every model, and score them; with --images or --out: read a whole catalogue.

    Stopped or killed, the same command goes on where it was.
    """
    given = {"source": source, "raw": raw, "root": root, "preset": preset, "seed": seed, "limit": limit}
    settings = settings_from(**given, runner=runner)
    if runner is not None and (images is not None or output is not None):
        raise FvrecError("--runner is for scoring: with --out or --images this process reads", where="--runner")
    if images is None and output is None:
        if adapter is not None or inputs is not None or abstain or restart:
            raise FvrecError("--adapter, --inputs, --abstain and --restart need --out or --images")
        from fvrec.cli.pipeline import run_flow, show_stages

        show_stages(*run_flow("flows.extraction", "extraction", settings))
        return
    if images is not None and source is not None:
        raise FvrecError("one of --images and --source", found="both")
    products = _in_folder(images, settings.limit) if images is not None else _of_source(settings)
    shown = _one_of_inputs(inputs, "image" if images is not None else "image_title")
    origin = "images" if images is not None else settings.source
    done = _stream(products, _load(settings, adapter, abstain), shown, origin, output or Path("attrs.parquet"), restart)
    _show_streamed(done, output or Path("attrs.parquet"))


def evaluate(
    source: SourceOption = None,
    raw: RawOption = None,
    root: RootOption = None,
    seed: SeedOption = None,
    limit: LimitOption = None,
    adapter: AdapterOption = None,
    inputs: InputsOption = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the metric rows as a JSON list.")] = None,
    include_seen: Annotated[
        bool, typer.Option("--include-seen", help="Score products that the adapter was trained on, too.")
    ] = False,
) -> None:
    """Score an adapter on a labelled folder that its training never saw, in both modes."""
    from fvrec.evaluation.folder import FolderScorer
    from fvrec.vlm.bundle import locate
    from fvrec.vlm.trained_on import TrainingRecord
    from tasks.progress import bar
    from tasks.source import source_of

    settings = settings_from(source=source, raw=raw, root=root, seed=seed, limit=limit)
    variants: list[Inputs] = [_one_of_inputs(inputs, "image_title")]
    folder = adapter or settings.adapters / "sft_lora"
    trained = locate(folder).adapter
    record = None if trained is None else TrainingRecord.read(trained)
    with ExitStack() as held:
        scratch = Path(held.enter_context(TemporaryDirectory(prefix="fvrec-evaluate-")))
        if settings.source == DRAWN and raw is None:
            settings = settings.model_copy(update={"raw": scratch / "drawn"})
        scorer = FolderScorer(
            _load(settings, folder, False), record, scratch, include_seen, settings.seed, bar("evaluate")
        )
        scores = scorer.score(source_of(settings), variants)
    if json_file is not None:
        _write_rows(scores.metrics, json_file)
    _show_scores(scores, record is not None, include_seen)


def serve_extract(
    root: RootOption = None,
    adapter: AdapterOption = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8600,
    max_batch: Annotated[int, typer.Option(min=1, help="Most requests that are read together.")] = 16,
    max_wait_ms: Annotated[float, typer.Option(min=0, help="How long a request waits for company.")] = 10,
    max_image_mb: Annotated[float, typer.Option(min=0.01, help="Larger images are refused (413).")] = 10,
    abstain: AbstainOption = False,
) -> None:
    """Serve extraction over HTTP: an image and its title in, attributes as JSON out. The API page is /docs."""
    import uvicorn

    from app.api import create_app
    from app.batching import BatchPolicy
    from app.reader import model_info, reader

    folder = adapter or settings_from(root=root).adapters / "sft_lora"
    extractor = _load(settings_from(root=root), folder, abstain)
    service = create_app(
        reader(extractor),
        model_info(extractor, folder),
        policy=BatchPolicy(max_batch, max_wait_ms),
        max_image_mb=max_image_mb,
    )
    out.print(f"http://{host}:{port}/docs", soft_wrap=True)
    uvicorn.run(service, host=host, port=port, timeout_graceful_shutdown=30)


def _load(settings: Settings, folder: Path | None, abstain: bool) -> Extractor:
    from dataclasses import replace

    from fvrec.vlm.calibrate import Calibration
    from fvrec.vlm.extract import Extractor

    place = folder or settings.adapters / "sft_lora"
    extractor = Extractor.load(place)
    calibration = extractor.calibration
    if not abstain:
        return extractor
    if not isinstance(calibration, Calibration):
        raise FvrecError("--abstain needs thresholds, and this model was never calibrated", where=place)
    return replace(extractor, calibration=replace(calibration, abstain=True))


def _one_of_inputs(given: str | None, default: Inputs) -> Inputs:
    for name in INPUTS:
        if name == (given or default):
            return name
    raise FvrecError("unknown input variant", where="--inputs", found=given, allowed=INPUTS)


def _in_folder(folder: Path, limit: int | None) -> list[Product]:
    from fvrec.vlm.stream import in_folder

    return in_folder(folder)[:limit]


def _of_source(settings: Settings) -> list[Product]:
    from fvrec.vlm.stream import of_source
    from tasks.progress import bar
    from tasks.source import source_of

    source = source_of(settings)
    source.discover()
    source.prepare(bar("prepare"))
    return list(of_source(source))


def _stream(
    products: list[Product], extractor: Extractor, inputs: Inputs, origin: str, output: Path, restart: bool
) -> Streamed:
    """Read the products into the table, with a bar that knows images a second and the time that is left."""
    from tqdm import tqdm

    from fvrec.vlm.parts import Parts
    from fvrec.vlm.stream import identity_of, reader_of, stream
    from tasks.progress import visible

    with Parts.open(output, identity_of(extractor, inputs, origin), restart=restart) as parts:
        waiting = sum(product.key not in parts.done for product in products)
        with tqdm(total=waiting, unit="img", desc="extract", disable=not visible(), dynamic_ncols=True) as meter:
            return stream(products, reader_of(extractor, inputs), parts, advance=meter.update)


def _show_streamed(done: Streamed, output: Path) -> None:
    out.print(
        f"{done.rows} rows in {output}: {done.read} read now, {done.errors} of them with an error"
        + (f", {done.repeated} repeated ids left out" if done.repeated else "")
        + (f"; {done.per_second:.1f} img/s" if done.read else ""),
        soft_wrap=True,
        highlight=False,
    )


def _write_rows(metrics: list[Metric], path: Path) -> None:
    from fvrec.artifacts import atomic_write
    from fvrec.report_results import rows_as_json

    atomic_write(path, rows_as_json(metrics))
    out.print(path, soft_wrap=True, highlight=False)


def _show_scores(scores: FolderScores, known: bool, include_seen: bool) -> None:
    from fvrec.report_tables import number

    shown = (
        "json_valid_rate",
        "schema_pass_rate",
        "micro_f1",
        "macro_f1",
        "accuracy",
        "majority_share",
        "ece",
        "ece_perfect",
    )
    rows = [
        row
        for row in scores.metrics
        if row.metric in shown and not row.slice and (row.field or not row.metric.startswith("ece"))
    ]
    table = Table("field", "metric", "raw", "constrained", title=f"{scores.items} products", title_justify="left")
    for field, metric in dict.fromkeys((row.field, row.metric) for row in rows):
        found = {row.mode: number(row) for row in rows if (row.field, row.metric) == (field, metric)}
        table.add_row(field or "(all)", metric, found.get("raw", ""), found.get("constrained", ""))
    out.print(table)
    if scores.quarantined:
        err.print(f"{scores.quarantined} rows of the source could not be used.")
    if not known:
        err.print("What the adapter was trained on is not recorded beside it: nothing could be left out as seen.")
    elif scores.seen:
        verb = "are scored nevertheless" if include_seen else "were left out"
        err.print(f"{scores.seen} products whose photo or design was trained on {verb}.")
