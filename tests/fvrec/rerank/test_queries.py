"""Generated queries: grounded in their item, reproducible, and readable again from their file."""

from __future__ import annotations

from pathlib import Path

import pytest

from fvrec.errors import FvrecError
from fvrec.records import Item
from fvrec.rerank.constraints import parse
from fvrec.rerank.parser_score import agreement
from fvrec.rerank.queries import generate, read_queries, write_queries
from fvrec.schema import FIELDS

from .products import make_item, read_from_title


def test_queries_describe_their_item(catalogue: list[Item]) -> None:
    values = {item.item_id: item.values for item in catalogue}
    queries = generate(catalogue, FIELDS, n=400, seed=3)
    assert {len(query.expected) for query in queries} == {1, 2, 3, 4}
    assert [query.language for query in queries[:4]] == ["zh", "en", "zh", "en"]
    assert any(query.expected.excluded for query in queries)
    assert any(len(wanted) > 1 for query in queries for wanted in query.expected.wanted.values())
    for query in queries:
        assert query.expected.wanted
        for constraint in query.expected.constraints:
            assert constraint.outcome(values[query.item_id][constraint.field]) == "met"


def test_same_seed_same_queries(catalogue: list[Item]) -> None:
    first = generate(catalogue, FIELDS, n=30, seed=1)
    assert first == generate(catalogue, FIELDS, n=30, seed=1)
    assert first != generate(catalogue, FIELDS, n=30, seed=2)


def test_only_the_fields_asked_for(catalogue: list[Item]) -> None:
    queries = generate(catalogue, ["color", "category"], n=50, seed=0)
    assert {c.field for query in queries for c in query.expected.constraints} == {"color", "category"}


def test_what_a_rule_read_from_the_title_is_not_asked_for(catalogue: list[Item]) -> None:
    items = [read_from_title(item, color="red") for item in catalogue]
    queries = generate(items, FIELDS, n=100, seed=0)
    assert "color" not in {c.field for query in queries for c in query.expected.constraints}


def test_items_without_labels_are_refused() -> None:
    with pytest.raises(FvrecError):
        generate([make_item("x", "", {"color": "blue"})], ["category"], n=1, seed=0)


def test_round_trip(tmp_path: Path, catalogue: list[Item]) -> None:
    queries = generate(catalogue, FIELDS, n=20, seed=0)
    path = tmp_path / "eval" / "rerank_eval.jsonl"
    write_queries(path, queries)
    assert read_queries(path) == queries
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("line", ["not json", "{}", '{"query_id": 1, "text": "", "wanted": {"hue": []}}'])
def test_broken_file_names_the_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "rerank_eval.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(FvrecError, match=r"rerank_eval\.jsonl:1"):
        read_queries(path)


@pytest.mark.parametrize("seed", [9, 77])
def test_parser_reads_what_the_generator_writes(catalogue: list[Item], seed: int) -> None:
    queries = generate(catalogue, FIELDS, n=600, seed=seed)
    for language in ("zh", "en"):
        mine = [query for query in queries if query.language == language]
        right = sum(query.read_rightly(parse(query.text)) for query in mine)
        assert right / len(mine) >= 0.95
        assert agreement([(query.expected, parse(query.text)) for query in mine]).f1 >= 0.98


def test_queries_vary_in_words_and_in_kind(catalogue: list[Item]) -> None:
    queries = generate(catalogue, FIELDS, n=600, seed=9)
    assert len({query.text for query in queries}) > 590
    constraints = [constraint for query in queries for constraint in query.expected.constraints]
    assert any(one.excluded and one.strength == "soft" for one in constraints)
    assert any(not one.excluded and one.strength == "soft" for one in constraints)
    assert not any(one.field == "category" and one.strength == "soft" for one in constraints)
