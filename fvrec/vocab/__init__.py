"""Vocabulary as data: TOML files beside this module, read by name."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any

from fvrec.errors import FvrecError


@cache
def load(name: str) -> dict[str, Any]:
    """The parsed ``fvrec/vocab/<name>.toml``. Callers must not change what they get: it is shared."""
    file = resources.files(__package__).joinpath(f"{name}.toml")
    if not file.is_file():
        raise FvrecError("no such vocabulary file", where=f"fvrec/vocab/{name}.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))
