"""The command that answers a wish with an explained list."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column, Table

from fvrec.cli.common import RootOption, SourceOption, err, out, settings_from
from fvrec.config import STRATEGIES
from fvrec.errors import FvrecError
from fvrec.records import MODELS

if TYPE_CHECKING:
    from app.service import DemoService
    from fvrec.rerank.ask import Answer, RankedItem
    from fvrec.rerank.constraints import Constraint, Language


def register(app: typer.Typer) -> None:
    """Add this command to ``app``."""
    app.command()(ask)


def ask(
    text: Annotated[str, typer.Argument(help="What you want, in English or Chinese.")] = "",
    source: SourceOption = None,
    root: RootOption = None,
    like: Annotated[Path | None, typer.Option(help="A picture of what it should look like.")] = None,
    model: Annotated[str, typer.Option(help=f"Whose reading: {', '.join(MODELS)}.")] = "lora",
    strategy: Annotated[str, typer.Option(help=f"How the list is ranked: {', '.join(STRATEGIES)}.")] = "base_rank",
    k: Annotated[int, typer.Option(min=1, help="Length of the list.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="The answer as one JSON object.")] = False,
) -> None:
    """Ask for products in words; every item of the answer says why it is there."""
    from app.service import DemoService, Query
    from fvrec.rerank.constraints import detect_language

    settings = settings_from(source=source, root=root)
    service, tongue = DemoService.open(settings), detect_language(text)
    picture = None if like is None else _picture(like, service, tongue)
    answer = service.ask(Query(settings.source, text, model, strategy, k, picture)).answer
    if as_json:
        out.print_json(json.dumps(_as_json(answer), ensure_ascii=False))
    else:
        _show(answer)


def _picture(path: Path, service: DemoService, language: Language) -> bytes:
    """The file's bytes; FvrecError in the user's language when it is no picture."""
    from fvrec.rerank.notes import bad_picture

    try:
        data = path.read_bytes()
        service.thumbnail(data)
    except (OSError, FvrecError) as problem:
        raise FvrecError(bad_picture(problem, language), where=path) from problem
    return data


def _show(answer: Answer) -> None:
    table = Table(*(Column(name, overflow="fold") for name in ("#", "item", "title", "score", "reason")))
    for ranked in answer.ranked:
        cells = (ranked.item.item_id, ranked.item.title, f"{ranked.score:.2f}", ranked.explanation)
        table.add_row(str(ranked.position), *(escape(cell) for cell in cells))
    out.print(table)
    for note in answer.notes:
        err.print(note.text, markup=False)


def _as_json(answer: Answer) -> dict[str, Any]:
    return {
        "language": answer.language,
        "strategy": answer.strategy,
        "constraints": [_constraint(one) for one in answer.constraints.constraints],
        "unrecognised": list(answer.constraints.unrecognised),
        "notes": [
            {"kind": note.kind, "text": note.text, "constraints": [_constraint(one) for one in note.constraints]}
            for note in answer.notes
        ],
        "items": [_item(ranked) for ranked in answer.ranked],
    }


def _constraint(one: Constraint) -> dict[str, Any]:
    return {
        "field": one.field,
        "values": sorted(one.values),
        "excluded": one.excluded,
        "strength": one.strength,
        "origin": one.origin,
        "words": list(one.words),
    }


def _item(ranked: RankedItem) -> dict[str, Any]:
    return {
        "position": ranked.position,
        "item_id": ranked.item.item_id,
        "title": ranked.item.title,
        "score": round(ranked.score, 6),
        "explanation": ranked.explanation,
        "claims": [
            {"field": claim.field, "value": claim.value, "confidence": claim.confidence, "kind": claim.kind}
            for claim in ranked.claims
        ],
        "attributes": dict(ranked.attributes),
        "confidence": dict(ranked.confidence),
    }
