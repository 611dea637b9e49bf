"""The fixed prompts (project plan, section 4) and their rendering to chat text.

The text before the title is one constant: preset tokenizers hold it as a single token, and engines may cache it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from fvrec.schema import CONFIDENCE, FIELDS, VALUES

IMAGE_PLACEHOLDER = "<image>"
TURN_START, TURN_END = "<|im_start|>", "<|im_end|>"
TITLE_LIMIT, DESCRIPTION_LIMIT = 200, 500
"""Characters of the title and of the description that reach the prompt."""

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
_USER_OPENING = f"{TASK}\nSchema: {SCHEMA_TEXT}\n标题: "
_CAPTION_TASK = "写出图中商品的标题。\n"

PROMPT_PREFIX = f"{TURN_START}system\n{SYSTEM}{TURN_END}\n{TURN_START}user\n{_USER_OPENING}"
DESCRIPTION_LABEL = "\n描述: "
PROMPT_SUFFIX = f"{TURN_END}\n{TURN_START}assistant\n"
CAPTION_PREFIX = f"{TURN_START}user\n{_CAPTION_TASK}"

_STEERING_MARKS = re.compile(r"<\|[^|<>]{0,40}\|>|" + re.escape(IMAGE_PLACEHOLDER))


@dataclass(frozen=True)
class Message:
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


def extraction_messages(title: str, description: str, *, with_image: bool) -> list[Message]:
    """System and user turn of the extraction task. Absent texts are empty; an absent image leaves its line out."""
    image = f"\n{IMAGE_PLACEHOLDER}" if with_image else ""
    title, description = plain(title)[:TITLE_LIMIT].rstrip(), plain(description)[:DESCRIPTION_LIMIT].rstrip()
    texts = f"{title}{DESCRIPTION_LABEL}{description}"
    return [Message("system", SYSTEM), Message("user", f"{_USER_OPENING}{texts}{image}")]


def caption_messages() -> list[Message]:
    """The pretraining task: image in, title out."""
    return [Message("user", f"{_CAPTION_TASK}{IMAGE_PLACEHOLDER}")]


def render_prompt(messages: Sequence[Message]) -> str:
    """Chat text (ChatML) up to where the assistant begins to answer."""
    turns = "".join(f"{TURN_START}{message.role}\n{message.content}{TURN_END}\n" for message in messages)
    return f"{turns}{TURN_START}assistant\n"


def plain(text: str) -> str:
    """Titles are data: chat marks, line breaks and the image placeholder in them must not steer the prompt.

    Half a surrogate pair, which no text file holds but a Python string may, becomes a question mark.
    """
    valid = text.encode("utf-8", "replace").decode("utf-8")
    return " ".join(_STEERING_MARKS.sub(" ", valid).split())


def texts_of(messages: Sequence[Message]) -> tuple[str, str]:
    """Title and description as they stand in the user's turn of ``extraction_messages``."""
    title, _, rest = messages[-1].content.removeprefix(_USER_OPENING).partition(DESCRIPTION_LABEL)
    return title, rest.removesuffix(f"\n{IMAGE_PLACEHOLDER}")


def with_texts(messages: Sequence[Message], change: Callable[[str], str]) -> Sequence[Message]:
    """``extraction_messages`` with title and description changed; any other messages as they are."""
    *before, user = messages
    if not user.content.startswith(_USER_OPENING):
        return messages
    title, description = texts_of(messages)
    end = user.content.removeprefix(f"{_USER_OPENING}{title}{DESCRIPTION_LABEL}{description}")
    return [
        *before,
        replace(user, content=f"{_USER_OPENING}{change(title)}{DESCRIPTION_LABEL}{change(description)}{end}"),
    ]
