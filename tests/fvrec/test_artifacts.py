"""Whole or absent files, digests, manifests."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from fvrec.artifacts import Manifest, atomic_write, digest_file, digest_json, digest_tree, staged, verify
from fvrec.errors import FvrecError


def _manifest(root: Path) -> Manifest:
    (root / "model").mkdir()
    (root / "model" / "weights.safetensors").write_bytes(b"\x00\x01")
    (root / "items.jsonl").write_text("{}\n")
    outputs = {name: digest_tree(root / name) for name in ("model", "items.jsonl")}
    return Manifest(
        "ingest", "ingest-1", {"raw": "aa"}, {"seed": 7, "sizes": (1, 2)}, "cc", outputs, {"items": "3:ff"}, 1.5
    )


def test_atomic_write_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file.txt"
    atomic_write(target, "first")
    atomic_write(target, "zweite Fassung: 裙")
    assert target.read_text(encoding="utf-8") == "zweite Fassung: 裙"
    assert [path.name for path in target.parent.iterdir()] == ["file.txt"]


def test_atomic_write_says_where_it_cannot(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where a folder is needed")
    with pytest.raises(FvrecError, match=r"cannot write.*taken"):
        atomic_write(tmp_path / "taken" / "x.txt", "x")
    assert (tmp_path / "taken").read_text() == "a file where a folder is needed"


def _build_half(target: Path) -> None:
    with staged(target) as building:
        building.mkdir()
        (building / "half.txt").write_text("half")
        raise RuntimeError("killed")


def test_staged_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "adapter"
    target.mkdir()
    (target / "old.txt").write_text("old")
    with pytest.raises(RuntimeError, match="killed"):
        _build_half(target)
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]
    assert (target / "old.txt").read_text() == "old"
    with staged(target) as building:
        building.mkdir()
        (building / "new.txt").write_text("new")
    assert [path.name for path in tmp_path.rglob("*")] == ["adapter", "new.txt"]


def test_digests_are_plain_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert digest_file(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest() == digest_tree(tmp_path / "a")
    with pytest.raises(FvrecError, match="cannot read"):
        digest_file(tmp_path / "absent")


def test_digest_json_ignores_key_order_only() -> None:
    assert digest_json({"a": 1, "b": [1, 2]}) == digest_json({"b": [1, 2], "a": 1})
    assert digest_json({"a": [1, 2]}) != digest_json({"a": [2, 1]})


def test_digest_tree_sees_names_contents_and_extra_files(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").write_text("1")
    seen = {digest_tree(tmp_path)}
    (tmp_path / "sub" / "a").write_text("2")
    seen.add(digest_tree(tmp_path))
    (tmp_path / "sub" / "a").rename(tmp_path / "a")
    seen.add(digest_tree(tmp_path))
    (tmp_path / "b").write_text("")
    seen.add(digest_tree(tmp_path))
    assert len(seen) == 4


def test_manifest_survives_the_disk_with_its_input_digest(tmp_path: Path) -> None:
    manifest = _manifest(tmp_path)
    manifest.write(tmp_path / "m.json")
    again = Manifest.read(tmp_path / "m.json")
    assert again is not None
    assert again.input_digest == manifest.input_digest
    assert again.outputs == manifest.outputs
    assert again.warehouse == {"items": "3:ff"}


@pytest.mark.parametrize(
    "change", [{"inputs": {"raw": "ab"}}, {"config": {"seed": 8}}, {"code": "cd"}, {"stage": "sft"}]
)
def test_input_digest_follows_everything_that_steers_the_stage(tmp_path: Path, change: dict[str, object]) -> None:
    manifest = _manifest(tmp_path)
    assert replace(manifest, **change).input_digest != manifest.input_digest  # type: ignore[arg-type]


def test_input_digest_does_not_follow_outputs_or_time(tmp_path: Path) -> None:
    manifest = _manifest(tmp_path)
    assert replace(manifest, outputs={}, seconds=9.0, run_id="other").input_digest == manifest.input_digest


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"stage": "x"}', None])
def test_a_manifest_that_cannot_be_read_counts_as_none(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "m.json"
    if text is not None:
        path.write_text(text)
    assert Manifest.read(path) is None


def test_a_manifest_of_another_version_counts_as_none(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    _manifest(tmp_path).write(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 99}))
    assert Manifest.read(path) is None


def test_verify_names_what_is_gone_and_what_was_altered(tmp_path: Path) -> None:
    manifest = _manifest(tmp_path)
    assert verify(manifest, tmp_path) == []
    (tmp_path / "items.jsonl").unlink()
    (tmp_path / "model" / "weights.safetensors").write_bytes(b"\x00\x02")
    assert sorted(verify(manifest, tmp_path)) == ["items.jsonl is gone", "model was altered"]
