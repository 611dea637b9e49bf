"""``docker-compose.yml`` as Compose reads it: parsed, with the variables of its surroundings put in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "docker-compose.yml"
_INNERMOST = re.compile(r"(?<!\$)\$\{(\w+)(?:(:?[-?])([^{}]*))?\}")


class MissingVariableError(ValueError):
    """A variable that the file demands has no value."""


def read() -> dict[str, Any]:
    """The file as it is written."""
    parsed: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return parsed


def resolved(variables: Mapping[str, str]) -> dict[str, Any]:
    """The file with ``${NAME}``, ``${NAME:-default}`` and ``${NAME:?message}`` replaced, and ``$$`` as ``$``."""
    found: dict[str, Any] = _walk(read(), variables)
    return found


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """One value. A default may hold variables of its own, hence from the inside out."""

    def value_of(match: re.Match[str]) -> str:
        name, sign, word = match[1], match[2] or "", match[3] or ""
        value = variables.get(name)
        if value or (value is not None and not sign.startswith(":")):
            return value
        if sign.endswith("?"):
            raise MissingVariableError(f"{name}: {word}")
        return word

    while (replaced := _INNERMOST.sub(value_of, text)) != text:
        text = replaced
    return text.replace("$$", "$")


def _walk(node: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(node, dict):
        return {name: _walk(inner, variables) for name, inner in node.items()}
    if isinstance(node, list):
        return [_walk(inner, variables) for inner in node]
    return interpolate(node, variables) if isinstance(node, str) else node


@dataclass(frozen=True)
class Published:
    """A published port: on which address of the host, and which."""

    address: str
    host: int
    container: int


def published(service: Mapping[str, Any]) -> list[Published]:
    """The ports of a resolved service; one without an address is published to everybody."""
    found = []
    for port in service.get("ports", []):
        *address, host, container = str(port).split(":")
        found.append(Published(":".join(address) or "0.0.0.0", int(host), int(container)))
    return found


def start_order(services: Mapping[str, Any]) -> list[str]:
    """Each service after those that it depends on."""
    order: list[str] = []

    def add(name: str) -> None:
        for before in services[name].get("depends_on", {}):
            add(before)
        if name not in order:
            order.append(name)

    for name in services:
        add(name)
    return order
