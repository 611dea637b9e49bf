"""What must be so of a parser whatever it is given: an answer that holds together, or a refusal, and nothing else."""

from __future__ import annotations

from pathlib import Path

from fvrec.errors import FvrecError
from fvrec.rerank.constraints import parse
from fvrec.schema import FIELDS, VALUES, parse_answer, render_answer
from fvrec.sources.mapping import TableMapping, load_mapping
from fvrec.sources.table import read_header, read_lines


def an_answer_is_judged(text: str) -> None:
    verdict = parse_answer(text)
    assert verdict.json_valid >= verdict.schema_valid
    assert verdict.schema_valid == (verdict.answer is not None) == (not verdict.error)
    if verdict.answer is not None:
        assert all(verdict.answer.attributes[field] in VALUES[field] for field in FIELDS)
        assert all(0 <= sure <= 1 for sure in verdict.answer.confidence.values())
        assert parse_answer(render_answer(verdict.answer.attributes, verdict.answer.confidence)).schema_valid


def a_request_is_read(text: str, standing: str | None = None) -> None:
    before = None if standing is None else parse(standing)
    found = parse(text, before)
    for one in found.constraints:
        assert one.field in FIELDS
        assert one.values
        assert one.values <= {*VALUES[one.field]}
    assert all(0 <= span.start < span.end <= len(text) for span in found.unrecognised_spans)
    assert parse(text, before) == found


def a_table_is_read_or_refused(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    try:
        header = read_header(path, ("id",))
        lines = list(read_lines(path, header, open_ended="title"))
    except FvrecError:
        return
    numbers = [line.number for line in lines]
    assert numbers == sorted(set(numbers))
    assert all(line.problem or set(line.values) == set(header) for line in lines)


def a_mapping_is_understood_or_refused(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    try:
        found = load_mapping(path)
    except FvrecError:
        return
    assert isinstance(found, TableMapping)
    assert {*found.fields, *found.constants} <= {*FIELDS}
