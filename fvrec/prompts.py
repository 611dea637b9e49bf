"""The fixed prompts (project plan, section 4) and their rendering to chat text.

The text before the title is one constant: preset tokenizers hold it as a single token, and engines may cache it.
"""

from __future__ import annotations

import json

from fvrec.schema import CONFIDENCE, FIELDS, VALUES

IMAGE_PLACEHOLDER = "<image>"
TURN_START, TURN_END = "<|im_start|>", "<|im_end|>"

SYSTEM = (
    "你是服饰电商属性抽取助手。只输出合法 JSON，不输出任何额外文本；"
    "字段必须齐全；未知填 unknown；confidence 为 0 到 1 之间的数。"
)
TASK = "任务：根据输入商品图片与标题/描述，提取服饰属性，按给定 JSON schema 输出。"
SCHEMA_TEXT = json.dumps(
    {**{field: "|".join(VALUES[field]) for field in FIELDS}, CONFIDENCE: dict.fromkeys(FIELDS, "0.0-1.0")},
    ensure_ascii=False,
    separators=(",", ":"),
)

PROMPT_PREFIX = (
    f"{TURN_START}system\n{SYSTEM}{TURN_END}\n{TURN_START}user\n{TASK}\nSchema: {SCHEMA_TEXT}\n标题: "
)
DESCRIPTION_LABEL = "\n描述: "
PROMPT_SUFFIX = f"{TURN_END}\n{TURN_START}assistant\n"
CAPTION_PREFIX = f"{TURN_START}user\n写出图中商品的标题。\n"


def extraction_prompt(title: str, description: str, *, with_image: bool) -> str:
    """Everything up to where the model begins to answer. Absent texts are empty; an absent image leaves its line out."""
    image = f"\n{IMAGE_PLACEHOLDER}" if with_image else ""
    return f"{PROMPT_PREFIX}{_one_line(title)}{DESCRIPTION_LABEL}{_one_line(description)}{image}{PROMPT_SUFFIX}"


def caption_prompt() -> str:
    """The pretraining prompt: image in, title out."""
    return f"{CAPTION_PREFIX}{IMAGE_PLACEHOLDER}{PROMPT_SUFFIX}"


def messages(title: str, description: str, answer: str, *, with_image: bool) -> list[dict[str, str]]:
    """The same sample as a chat (``role``, ``content``), for ``data/sft/*.jsonl`` and other trainers."""
    image = f"\n{IMAGE_PLACEHOLDER}" if with_image else ""
    user = f"{TASK}\nSchema: {SCHEMA_TEXT}\n标题: {_one_line(title)}{DESCRIPTION_LABEL}{_one_line(description)}{image}"
    return [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": user},
        {"role": "assistant", "content": answer},
    ]


def _one_line(text: str) -> str:
    """Titles are data: control marks, line breaks and the image placeholder in them must not steer the prompt."""
    flat = " ".join(text.split())
    for mark in (TURN_START, TURN_END, IMAGE_PLACEHOLDER):
        flat = flat.replace(mark, " ")
    return flat
