from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from fvrec.errors import FvrecError
from fvrec.prompts import PROMPT_PREFIX, PROMPT_SUFFIX, extraction_messages, render_prompt
from fvrec.schema import FIELDS, VALUES, render_answer
from fvrec.vlm.tokenizer import (
    CONFIDENCE_STEPS,
    constant_texts,
    enum_values,
    load_tokenizer,
    save_tokenizer,
    token_id,
    train_tokenizer,
)

TOKENIZER = train_tokenizer(
    ["Nike Men Black Shoes", "女士蓝色碎花连衣裙", "a stop sign", "stop it"] * 3, vocabulary=320
)


def ids(text: str, tokenizer: PreTrainedTokenizerFast = TOKENIZER) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_every_text_survives_encoding(text: str) -> None:
    assert TOKENIZER.decode(ids(text), skip_special_tokens=False) == text


def test_constants_and_values_are_single_tokens() -> None:
    for text in [*constant_texts(), *enum_values()]:
        assert len(ids(text)) == 1, text


@pytest.mark.parametrize("step", [float(step) for step in CONFIDENCE_STEPS])
@pytest.mark.parametrize("last", [0, -1])
def test_an_answer_takes_31_tokens(step: float, last: int) -> None:
    answer = render_answer({field: VALUES[field][last] for field in FIELDS}, dict.fromkeys(FIELDS, step))
    # 10 keys, 10 values, the bridge to `confidence`, 10 confidences with what follows each.
    assert len(ids(answer)) == 31
    assert TOKENIZER.decode(ids(answer)) == answer


def test_the_constant_prompt_takes_two_tokens_beside_its_texts() -> None:
    prompt = render_prompt(extraction_messages("Nike", "", with_image=False))
    assert ids(prompt)[0] == token_id(TOKENIZER, PROMPT_PREFIX)
    assert ids(prompt)[-1] == token_id(TOKENIZER, PROMPT_SUFFIX)
    assert len(ids(prompt)) == 3 + len(ids("Nike"))


def test_values_inside_words_keep_their_letters_together() -> None:
    assert token_id(TOKENIZER, "hat") not in ids("what that chat")


def test_a_saved_tokenizer_encodes_the_same(tmp_path: Path) -> None:
    save_tokenizer(TOKENIZER, tmp_path)
    text = render_prompt(extraction_messages("Nike Men", "black shoes", with_image=True))
    assert ids(text, load_tokenizer(tmp_path)) == ids(text)


def test_no_tokenizer_there(tmp_path: Path) -> None:
    with pytest.raises(FvrecError, match="no tokenizer"):
        load_tokenizer(tmp_path)
