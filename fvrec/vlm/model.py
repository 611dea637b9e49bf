"""MiniMindVLM: frozen tower features -> projector -> causal LLM through ``inputs_embeds``.

The LLM is transformers' own class, never a copy: MiniMind-3's parameters load key for key into Qwen3 and MiniMind2's
into Llama, with the logits of a forward pass written from their architecture (``tests/fvrec/vlm/test_minimind.py``).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen3Config,
)
from transformers.utils.logging import disable_progress_bar

from fvrec.config import LanguageModelSize
from fvrec.errors import FvrecError
from fvrec.vlm.towers import Tower

IGNORED = -100
"""Label of a position that carries no loss."""
_LEAST_SPREAD = 1e-3
_FURTHEST = 10.0
"""A channel is cut off so many standard deviations from its centre: no odd photo may swamp the LLM."""


class MiniMindVlmConfig(PreTrainedConfig):
    """``streams``: widths of the feature slices; ``llm``: the language model's own configuration as a dict.

    ``projector``: ``scaled`` (a network a kind of token, of standardised features), ``linear`` (one map a stream) or
    ``mlp`` (MiniMind-3V's two layers; one stream).
    ``known_words``: rows of the embedding that a published model brought along and that stay (0: trained here).
    """

    model_type = "minimind_vlm"

    def __init__(
        self,
        tower: str = "lite0",
        image_tokens: int = 50,
        streams: tuple[int, ...] = (1280, 256, 256),
        image_token_id: int = 0,
        projector: str = "linear",
        known_words: int = 0,
        llm: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.tower = tower
        self.image_tokens = image_tokens
        self.streams = tuple(streams)
        self.image_token_id = image_token_id
        self.projector = projector
        self.known_words = known_words
        self.llm = llm or {}
        super().__init__(**kwargs)

    @property
    def visual_positions(self) -> int:
        """How many LLM positions one image takes."""
        return self.image_tokens


class Projector(nn.Module):
    """One linear map per feature stream into the LLM's width.

    The streams describe the same grid cells, so their projections are added: one token a cell.
    """

    def __init__(self, streams: tuple[int, ...], hidden: int) -> None:
        super().__init__()
        self.streams = streams
        self.maps = nn.ModuleList(nn.Linear(width, hidden) for width in streams)

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def forward(self, features: Tensor) -> Tensor:
        """``[B, T, sum(streams)]`` -> ``[B, T, H]``."""
        slices = features.to(self.dtype).split(list(self.streams), dim=2)
        return torch.stack([project(part) for project, part in zip(self.maps, slices, strict=True)]).sum(dim=0)


class ScaledProjector(nn.Module):
    """Standardised features, dropout, two layers for each kind of token: the cells, and each that sums the photo up.

    Centre and scale of every channel are measured on train photos before training (``fit``); training sets the share
    that is dropped. With neither, the model learns a few thousand photos by heart and reads new ones worse than a
    perceptron on the very same features (docs/results/extraction.md).
    """

    def __init__(self, streams: tuple[int, ...], hidden: int, tokens: int) -> None:
        super().__init__()
        self.cells = math.isqrt(tokens) ** 2
        kinds, width = 1 + tokens - self.cells, sum(streams)
        self.center: Tensor
        self.scale: Tensor
        self.register_buffer("center", torch.zeros(kinds, width))
        self.register_buffer("scale", torch.ones(kinds, width))
        self.networks = nn.ModuleList(
            nn.Sequential(
                nn.Dropout(0.0),
                nn.Linear(width, 2 * hidden),
                nn.GELU(),
                nn.Dropout(0.0),
                nn.Linear(2 * hidden, hidden),
            )
            for _ in range(kinds)
        )

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    @torch.no_grad()
    def fit(self, features: Tensor) -> None:
        """Measure centre and scale on train photos' features ``[N, T, D]``; what never varies is left out."""
        for kind, part in enumerate(self._parts(features)):
            rows = part.flatten(0, 1).float()
            spread = rows.std(dim=0, correction=0)
            self.center[kind] = rows.mean(dim=0)
            self.scale[kind] = torch.where(spread > _LEAST_SPREAD, 1 / spread.clamp_min(_LEAST_SPREAD), 0.0)

    def forward(self, features: Tensor) -> Tensor:
        """``[B, T, sum(streams)]`` -> ``[B, T, H]``."""
        parts = zip(self._parts(features.float()), self.center, self.scale, self.networks, strict=True)
        scaled = (
            (((part - center) * scale).clamp(-_FURTHEST, _FURTHEST), network) for part, center, scale, network in parts
        )
        return torch.cat([network(part.to(self.dtype)) for part, network in scaled], dim=1)

    def _parts(self, features: Tensor) -> tuple[Tensor, ...]:
        return features.split([self.cells, *[1] * (features.shape[1] - self.cells)], dim=1)


class MlpProjector(nn.Module):
    """LayerNorm, linear map, GELU, linear map: the projector of MiniMind-3V. One feature stream."""

    def __init__(self, streams: tuple[int, ...], hidden: int) -> None:
        super().__init__()
        if len(streams) != 1:
            raise FvrecError("this projector reads one feature stream", found=streams, allowed="a tower with one")
        (width,) = streams
        self.mlp = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, hidden))

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def forward(self, features: Tensor) -> Tensor:
        """``[B, T, D]`` -> ``[B, T, H]``."""
        projected: Tensor = self.mlp(features.to(self.dtype))
        return projected


def _new_projector(kind: str, streams: tuple[int, ...], hidden: int, tokens: int) -> nn.Module:
    if kind == "scaled":
        return ScaledProjector(streams, hidden, tokens)
    return Projector(streams, hidden) if kind == "linear" else MlpProjector(streams, hidden)


class MiniMindVLM(PreTrainedModel):
    """Image features and text ids in, next-token loss or embeddings for generation out."""

    config_class = MiniMindVlmConfig
    base_model_prefix = ""
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _tied_weights_keys = {"llm.lm_head.weight": "llm.model.embed_tokens.weight"}  # noqa: RUF012 - transformers' form

    label_smoothing = 0.0
    """Share of the target's probability that training spreads over the vocabulary; evaluation never does."""

    def __init__(self, config: MiniMindVlmConfig) -> None:
        super().__init__(config)
        llm_config = AutoConfig.for_model(**config.llm)
        # On CPU, at our lengths, the fused attention kernel's backward pass makes a step 1.7 times as long.
        attention = "sdpa" if torch.cuda.is_available() else "eager"
        self.llm = AutoModelForCausalLM.from_config(llm_config, attn_implementation=attention)
        self.projector = _new_projector(config.projector, config.streams, llm_config.hidden_size, config.image_tokens)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.llm.get_input_embeddings()

    @property
    def token_embedding(self) -> nn.Parameter:
        """``[V, H]``, tied to the output layer."""
        return cast(nn.Parameter, self.get_input_embeddings().weight)

    def get_output_embeddings(self) -> nn.Module:
        return self.llm.get_output_embeddings()

    def embed(self, input_ids: Tensor, features: Tensor | None) -> Tensor:
        """``[B, L]`` ids (+ ``[I, T, D]`` features of the I images in batch order) -> ``[B, L, H]``.

        FvrecError when the image positions in the ids and the given features do not match in number.
        """
        embedded = self.get_input_embeddings()(input_ids)
        at_image = input_ids == self.config.image_token_id
        given = 0 if features is None else features.shape[0] * self.config.visual_positions
        if int(at_image.sum()) != given:
            raise FvrecError(
                "image positions and image features differ in number", found=int(at_image.sum()), allowed=str(given)
            )
        if features is None:
            return embedded
        visual = self.projector(features.to(embedded.device)).to(embedded.dtype)
        return embedded.masked_scatter(at_image.unsqueeze(-1), visual.flatten(0, 1))

    def forward(
        self,
        input_ids: Tensor,
        labels: Tensor,
        attention_mask: Tensor | None = None,
        features: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **_: Any,
    ) -> dict[str, Tensor]:
        """``loss``: mean cross-entropy over the N positions whose label (``[B, L]``, unshifted) is not ``IGNORED``.

        ``num_items_in_batch``: what the sum is divided by instead, when the batch is a part of a larger one.
        ``logits``: ``[N, V]`` at those positions only.
        """
        hidden = self.llm.model(
            inputs_embeds=self.embed(input_ids, features), attention_mask=attention_mask, use_cache=False
        ).last_hidden_state
        targets = labels[:, 1:]
        predicting = targets != IGNORED  # logits only where there is something to learn: the prompt is most of a sample
        logits = self.llm.lm_head(hidden[:, :-1][predicting]).float()
        count = predicting.sum() if num_items_in_batch is None else num_items_in_batch
        smoothing = self.label_smoothing if self.training else 0.0
        total = functional.cross_entropy(logits, targets[predicting], reduction="sum", label_smoothing=smoothing)
        return {"loss": total / count, "logits": logits}


def new_model(size: LanguageModelSize, tower: Tower, *, vocabulary: int, image_token_id: int, seed: int) -> MiniMindVLM:
    """A randomly initialised model of that size for that tower and tokenizer."""
    shape: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": size.hidden,
        "intermediate_size": size.intermediate,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "num_key_value_heads": size.kv_heads,
        "head_dim": size.hidden // size.heads,
        "tie_word_embeddings": True,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
        "max_position_embeddings": 2048,
    }
    llm = Qwen3Config(**shape) if size.family == "qwen3" else LlamaConfig(**shape, rms_norm_eps=1e-5)
    return model_around(llm, tower, image_token_id=image_token_id, seed=seed, projector="scaled")


def model_around(
    llm: PreTrainedConfig, tower: Tower, *, image_token_id: int, seed: int, projector: str = "linear"
) -> MiniMindVLM:
    """A model of that language model's shape (tied embeddings) behind that tower, with random weights."""
    torch.manual_seed(seed)
    config = MiniMindVlmConfig(
        tower=tower.name,
        image_tokens=tower.tokens,
        streams=tower.streams,
        image_token_id=image_token_id,
        projector=projector,
        llm={**llm.to_diff_dict(), "model_type": llm.model_type},
        tie_word_embeddings=True,
    )
    return MiniMindVLM(config)


def load_model(directory: Path) -> MiniMindVLM:
    """Read a checkpoint; FvrecError unless every expected key arrived and none was left over."""
    return read_checkpoint(directory, dtype=torch.float32)


def read_checkpoint(directory: Path, **options: Any) -> MiniMindVLM:
    """``load_model`` with options for transformers' ``from_pretrained``."""
    if not (directory / "config.json").is_file():
        raise FvrecError("no model checkpoint there", where=directory, allowed="a folder made by the pretrain stage")
    disable_progress_bar()
    try:
        loaded: Any = MiniMindVLM.from_pretrained(directory, output_loading_info=True, **options)
    except (OSError, SafetensorError) as error:
        raise FvrecError(f"checkpoint cannot be read ({error}): run fvrec run", where=directory) from error
    model, info = loaded
    problems = {kind: sorted(map(str, info[kind])) for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")}
    if any(problems.values()):
        raise FvrecError("checkpoint does not fit the model", where=directory, found=problems)
    return cast(MiniMindVLM, model)
