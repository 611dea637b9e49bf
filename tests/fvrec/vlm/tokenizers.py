"""Small tokenizers of several kinds, to run the same claims over: what is one token in one is many in another."""

from __future__ import annotations

from functools import cache

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from fvrec.prompts import PROMPT_PREFIX, PROMPT_SUFFIX, TURN_END, TURN_START
from fvrec.schema import FIELDS, VALUES, render_answer
from fvrec.vlm.tokenizer import IMAGE_TOKEN, PAD_TOKEN, train_tokenizer

TITLES = ["Nike Men Black Shoes", "女士蓝色碎花连衣裙", "Puma Women's V-Neck Tee", "a stop sign", "stop it"]
ANSWERS = [
    render_answer({field: VALUES[field][number % len(VALUES[field])] for field in FIELDS}, dict.fromkeys(FIELDS, 0.9))
    for number in range(45)
]


@cache
def catalogue() -> PreTrainedTokenizerFast:
    """Ours: constants and values are single added tokens."""
    return train_tokenizer(TITLES * 3, vocabulary=320)


@cache
def general(words: int = 600) -> PreTrainedTokenizerFast:
    """Byte-level BPE split at punctuation, as GPT-2's and MiniMind's: values take one to several tokens."""
    return _byte_level(words, use_regex=True)


@cache
def merging(words: int = 600) -> PreTrainedTokenizerFast:
    """Byte-level BPE over whole lines: tokens cross quotes, so a value's last token may hold the text behind it."""
    return _byte_level(words, use_regex=False)


@cache
def bytewise() -> PreTrainedTokenizerFast:
    """A token a byte: every value that shares letters with another shares tokens with it."""
    return _byte_level(0, use_regex=True)


def _byte_level(words: int, *, use_regex: bool) -> PreTrainedTokenizerFast:
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=words,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[PAD_TOKEN, TURN_START, TURN_END, IMAGE_TOKEN],
        show_progress=False,
    )
    core.train_from_iterator([PROMPT_PREFIX, PROMPT_SUFFIX, *TITLES, *ANSWERS], trainer=trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token=PAD_TOKEN, eos_token=TURN_END, clean_up_tokenization_spaces=False
    )
