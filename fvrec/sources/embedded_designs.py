"""What the embedded catalogue sells: designs with plausible values, each in one to three colours, with titles."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from fvrec import vocab
from fvrec.schema import FIELDS, UNKNOWN, VALUES

COLORS = tuple(value for value in VALUES["color"] if value != UNKNOWN)
_CHOSEN_IN_ORDER = ("season", "gender", "material", "neckline", "sleeve_length", "style", "pattern", "fit")
_OPTIONAL_WORD_KEPT = 0.75


@dataclass(frozen=True)
class Product:
    """One product to draw: ``values`` are all ten fields, true by construction; ``design`` is shared by its colours."""

    item_id: str
    design: str
    title: str
    values: Mapping[str, str]
    seed: tuple[int, ...]


def products(count: int, seed: int) -> list[Product]:
    """The first ``count`` products of the catalogue that ``seed`` names; a larger count only adds to them."""
    result: list[Product] = []
    for design in range(count):
        if len(result) >= count:
            break
        result.extend(_design(design, len(result), seed))
    return result[:count]


def _design(number: int, first: int, seed: int) -> Iterator[Product]:
    rng = np.random.default_rng([seed, number])
    values = _sample_values(rng)
    colors = rng.permutation(len(COLORS))[: int(rng.integers(1, 4))]
    for variant, color in enumerate(colors):
        worn = {**values, "color": COLORS[int(color)]}
        complete = {field: worn.get(field, UNKNOWN) for field in FIELDS}
        yield Product(
            item_id=f"em{first + variant:06d}",
            design=f"design-{number:05d}",
            title=title(complete, np.random.default_rng([seed, number, variant, 1])),
            values=complete,
            seed=(seed, number, variant, 2),
        )


def _sample_values(rng: np.random.Generator) -> dict[str, str]:
    """Category first, then each field among the values that go with those already chosen, rare ones preferred."""
    catalogue = vocab.load("embedded")
    categories = sorted(catalogue["categories"])
    demand = [catalogue["categories"][category].get("weight", 1.0) for category in categories]
    values = {"category": _draw(rng, categories, demand)}
    offered = catalogue["categories"][values["category"]]
    for field in _CHOSEN_IN_ORDER:
        if field in offered:
            allowed = [value for value in offered[field] if _goes_with(value, values.values())]
            values[field] = _draw(rng, allowed, [1.0 / _offers(field)[value] for value in allowed])
    return values


def _draw(rng: np.random.Generator, options: Sequence[str], weights: Sequence[float]) -> str:
    share = np.array(weights) / np.sum(weights)
    return options[int(rng.choice(len(options), p=share))]


def _goes_with(value: str, chosen: Iterable[str]) -> bool:
    rules: Mapping[str, Sequence[str]] = vocab.load("embedded")["rules_out"]
    return not any(value in rules.get(other, ()) or other in rules.get(value, ()) for other in chosen)


@cache
def _offers(field: str) -> Counter[str]:
    """value -> by how many categories it is offered: values that few offer are taken more often there."""
    catalogue = vocab.load("embedded")["categories"]
    return Counter(value for offered in catalogue.values() for value in offered.get(field, ()))


def title(values: Mapping[str, str], rng: np.random.Generator) -> str:
    """A shop's title, Chinese or English by a coin. Category, colour, gender, season and style are always in it."""
    words = vocab.load("embedded")["titles"]
    language = "zh" if rng.random() < 0.5 else "en"
    templates = words["templates"][language]
    template = templates[int(rng.integers(len(templates)))]

    def word(match: re.Match[str]) -> str:
        field, optional = match.group(1) or match.group(2), match.group(2) is not None
        if values[field] == UNKNOWN or (optional and rng.random() > _OPTIONAL_WORD_KEPT):
            return ""
        variants = words[language][field][values[field]]
        return str(variants[int(rng.integers(len(variants)))])

    text = re.sub(r"\{(\w+)\}|\[(\w+)\]", word, template)
    return re.sub(r"\s+([,，])", r"\1", " ".join(text.split()))
