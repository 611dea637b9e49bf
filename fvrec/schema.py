"""Schema v1: the ten attributes, their values, and the strict JSON that carries them.

Every field is an enum that also has ``unknown``; ``category`` also has ``other``. Key order and whitespace are fixed:
the text of an answer is a function of its values. A change of these lists is a new schema version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

SCHEMA_VERSION = 1
UNKNOWN = "unknown"
OTHER = "other"
CONFIDENCE = "confidence"

_VALUES: dict[str, str] = {
    "category": (
        "tshirt shirt top blouse sweater hoodie jacket coat blazer vest dress kurta saree jumpsuit skirt jeans pants "
        "shorts leggings tracksuit casual_shoes sports_shoes formal_shoes heels flats sandals flip_flops boots bag "
        "backpack wallet belt watch sunglasses jewellery hat scarf tie socks gloves fragrance makeup other"
    ),
    "color": "black white gray red orange yellow green blue purple pink brown beige",
    "style": "casual sports formal smart_casual ethnic party vacation travel home",
    "season": "spring summer fall winter",
    "material": "cotton denim leather suede wool silk linen polyester viscose nylon canvas knit metal rubber",
    "pattern": "solid striped checked floral dotted printed graphic melange lace embroidered animal colorblock",
    "gender": "female male unisex girls boys",
    "fit": "slim skinny regular straight loose flared",
    "sleeve_length": "sleeveless short three_quarter long",
    "neckline": "round v_neck collar turtleneck hooded boat square off_shoulder halter strapless",
}

FIELDS: tuple[str, ...] = tuple(_VALUES)
VALUES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {field: (*words.split(), UNKNOWN) for field, words in _VALUES.items()}
)
"""field -> every value that an answer may hold, ``unknown`` last."""


@dataclass(frozen=True)
class Answer:
    """A parsed, schema-valid answer: one value and one confidence in [0, 1] for each of the ten fields."""

    attributes: Mapping[str, str]
    confidence: Mapping[str, float]


@dataclass(frozen=True)
class ParseResult:
    """What the strict parser made of a text.

    ``error`` is empty when schema_valid; otherwise it names the first field at fault and why.
    ``error_class``: ``not_json | wrong_keys | out_of_enum | bad_confidence`` or empty.
    """

    json_valid: bool
    schema_valid: bool
    answer: Answer | None = None
    error: str = ""
    error_class: str = ""


def render_answer(attributes: Mapping[str, str], confidence: Mapping[str, float]) -> str:
    """The one text of an answer: fixed key order, no whitespace, confidences with at most two decimals.

    Raises KeyError when a field is missing; values are not checked here (``parse_answer`` is the judge).
    """
    body: dict[str, object] = {field: attributes[field] for field in FIELDS}
    body[CONFIDENCE] = {field: round(float(confidence[field]), 2) for field in FIELDS}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def parse_answer(text: str) -> ParseResult:
    """Judge ``text`` strictly: nothing but the JSON object, the ten fields and ``confidence``, in order, in the enums.

    ``json_valid`` means that the whole text is one JSON object; ``schema_valid`` that it obeys schema v1.
    """
    try:
        pairs = json.loads(text, object_pairs_hook=_unique_pairs, parse_constant=_reject_constant)
    except (ValueError, RecursionError) as error:
        return ParseResult(False, False, error=f"not JSON: {error}", error_class="not_json")
    if not isinstance(pairs, dict):
        return ParseResult(False, False, error=f"not a JSON object: {type(pairs).__name__}", error_class="not_json")
    expected = [*FIELDS, CONFIDENCE]
    if list(pairs) != expected:
        return _invalid("wrong_keys", _describe_keys(list(pairs), expected))
    for field in FIELDS:
        if pairs[field] not in VALUES[field]:
            return _invalid("out_of_enum", f"{field}: {pairs[field]!r} is not one of {', '.join(VALUES[field])}")
    confidence = pairs[CONFIDENCE]
    if not isinstance(confidence, dict) or list(confidence) != list(FIELDS):
        return _invalid("bad_confidence", "confidence: must hold the ten fields in order")
    for field, value in confidence.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
            return _invalid("bad_confidence", f"confidence.{field}: {value!r} is not a number in [0, 1]")
    answer = Answer(
        attributes={field: pairs[field] for field in FIELDS},
        confidence={field: float(confidence[field]) for field in FIELDS},
    )
    return ParseResult(True, True, answer=answer)


def json_schema() -> dict[str, object]:
    """Schema v1 as a JSON Schema (draft 2020-12), for those who validate with other tools."""
    number = {"type": "number", "minimum": 0, "maximum": 1}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"fvrec attributes v{SCHEMA_VERSION}",
        "type": "object",
        "properties": {
            **{field: {"enum": list(VALUES[field])} for field in FIELDS},
            CONFIDENCE: {
                "type": "object",
                "properties": dict.fromkeys(FIELDS, number),
                "required": list(FIELDS),
                "additionalProperties": False,
            },
        },
        "required": [*FIELDS, CONFIDENCE],
        "additionalProperties": False,
    }


def _unique_pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate key")
    return result


def _reject_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _invalid(error_class: str, error: str) -> ParseResult:
    return ParseResult(True, False, error=error, error_class=error_class)


def _describe_keys(found: list[str], expected: list[str]) -> str:
    missing = [key for key in expected if key not in found]
    extra = [key for key in found if key not in expected]
    if missing:
        return f"missing key: {missing[0]}"
    if extra:
        return f"unexpected key: {extra[0][:40]!r}"
    return "keys are not in the fixed order"
