"""The catalogue's own tokenizer: byte-level BPE on its titles, with the constant texts as single added tokens.

The constant prompt, the JSON skeleton's pieces, every enum value and every ``confidence`` step are one token each, so
a sample costs about 30 text tokens where a general tokenizer of 6,400 words needs about 680. The text itself is
unchanged: ``decode(encode(text)) == text`` for every text, so what the model writes is judged as plain JSON.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from fvrec import prompts
from fvrec.errors import FvrecError
from fvrec.schema import CONFIDENCE, FIELDS, VALUES

IMAGE_TOKEN = "<|image_pad|>"  # noqa: S105 - a vocabulary entry, not a secret
PAD_TOKEN = "<|endoftext|>"  # noqa: S105
CONFIDENCE_STEPS = ("0.9", "0.7", "0.1")


def skeleton_pieces() -> list[str]:
    """The forced texts of an answer, in order: what stands before each value, and the bridge to ``confidence``."""
    first, *rest = FIELDS
    opening = [f'{{"{first}":"', *(f'","{field}":"' for field in rest)]
    return [*opening, f'","{CONFIDENCE}":{{"{first}":']


def confidence_pieces() -> list[str]:
    """Each confidence step together with what follows it: the next field's key, or the closing braces."""
    followers = [f',"{field}":' for field in FIELDS[1:]] + ["}}"]
    return [step + follower for follower in followers for step in CONFIDENCE_STEPS]


def constant_texts() -> list[str]:
    """Every text that is one added token, apart from the enum values."""
    prompt = [prompts.PROMPT_PREFIX, prompts.DESCRIPTION_LABEL, prompts.PROMPT_SUFFIX, prompts.CAPTION_PREFIX, "\n"]
    return [*prompt, *skeleton_pieces(), *confidence_pieces()]


def enum_values() -> list[str]:
    """Every value of every field once, in schema order."""
    return list(dict.fromkeys(value for field in FIELDS for value in VALUES[field]))


def train_tokenizer(texts: Iterable[str], *, vocabulary: int) -> PreTrainedTokenizerFast:
    """Learn ``vocabulary`` byte-level BPE words on ``texts`` and add the constants on top.

    The vocabulary may come out smaller on few texts. Enum values are matched as whole words only ("stop" keeps its
    letters although ``top`` is a value).
    """
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[PAD_TOKEN, prompts.TURN_START, prompts.TURN_END, IMAGE_TOKEN],
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer=trainer)
    _add_constants(core)
    return _wrap(core)


def extend_tokenizer(directory: Path) -> PreTrainedTokenizerFast:
    """A published model's tokenizer with the constants on top, and the image mark if it has none.

    FvrecError when there is none, or when it does not know the marks of a chat turn: it is then of another family.
    """
    file = directory / "tokenizer.json"
    if not file.is_file():
        raise FvrecError("no tokenizer there", where=file, allowed="`fvrec weights fetch` gets it with the weights")
    core = Tokenizer.from_file(str(file))
    unknown = [mark for mark in (PAD_TOKEN, prompts.TURN_START, prompts.TURN_END) if core.token_to_id(mark) is None]
    if unknown:
        raise FvrecError("the tokenizer lacks marks of a chat turn", where=file, found=unknown)
    core.add_special_tokens([AddedToken(IMAGE_TOKEN, normalized=False, special=True)])
    _add_constants(core)
    return _wrap(core)


def _add_constants(core: Tokenizer) -> None:
    core.add_tokens([AddedToken(text, normalized=False) for text in constant_texts()])
    core.add_tokens([AddedToken(value, normalized=False, single_word=True) for value in enum_values()])


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, directory: Path) -> None:
    """Write the tokenizer in the transformers layout."""
    tokenizer.save_pretrained(directory)


def load_tokenizer(directory: Path) -> PreTrainedTokenizerFast:
    """Read a tokenizer written by ``save_tokenizer``; FvrecError when there is none."""
    file = directory / "tokenizer.json"
    if not file.is_file():
        raise FvrecError("no tokenizer there", where=file, allowed="a folder made by the tokenizer stage")
    return _wrap(Tokenizer.from_file(str(file)))


def _wrap(core: Tokenizer) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD_TOKEN,
        eos_token=prompts.TURN_END,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )


def token_id(tokenizer: PreTrainedTokenizerFast, text: str) -> int:
    """Id of a text that is one token; FvrecError otherwise."""
    found = tokenizer.get_vocab().get(text)
    if found is None:
        raise FvrecError("not a single token of this tokenizer", found=text)
    return found


def added_token_ids(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Ids of the constants and the enum values: rows that a base trained on titles alone has hardly seen."""
    vocabulary = tokenizer.get_vocab()
    return sorted(vocabulary[text] for text in [*constant_texts(), *enum_values()])
