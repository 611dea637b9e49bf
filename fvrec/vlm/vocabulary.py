"""A published language model gets new words: rows for the tokenizer's added texts, the rest of it untouched."""

from __future__ import annotations

import json

import torch
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from fvrec.errors import FvrecError
from fvrec.vlm.model import MiniMindVLM
from fvrec.vlm.tokenizer import IMAGE_TOKEN, constant_texts, enum_values


@torch.no_grad()
def extend_vocabulary(model: MiniMindVLM, tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Give the (tied) embedding a row for each added text; returns their ids.

    A new row starts as the mean of the rows that the text was written with before, so that the model begins where it
    was. FvrecError when the tokenizer's own words do not fit the model's: it is another model's tokenizer.
    """
    known = model.token_embedding.shape[0]
    added = [*constant_texts(), *enum_values(), IMAGE_TOKEN]
    vocabulary = tokenizer.get_vocab()
    new = {vocabulary[text]: text for text in added if vocabulary[text] >= known}
    if len(vocabulary) != known + len(new) or sorted(new) != list(range(known, known + len(new))):
        raise FvrecError(
            "the tokenizer is not this model's: it knows another number of words",
            found=len(vocabulary) - len(new),
            allowed=str(known),
        )
    before = _without(tokenizer, set(added))
    model.llm.resize_token_embeddings(known + len(new), mean_resizing=False)
    model.config.known_words = known
    model.config.llm = {**model.config.llm, "vocab_size": known + len(new)}
    embedding = model.token_embedding
    for row, text in new.items():
        embedding[row] = embedding[before.encode(text, add_special_tokens=False).ids].mean(dim=0)
    return sorted(new)


def _without(tokenizer: PreTrainedTokenizerFast, texts: set[str]) -> Tokenizer:
    """The same tokenizer before those texts were added to it."""
    body = json.loads(tokenizer.backend_tokenizer.to_str())
    body["added_tokens"] = [token for token in body["added_tokens"] if token["content"] not in texts]
    return Tokenizer.from_str(json.dumps(body))
