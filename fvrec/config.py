"""Settings of a run: where things lie, which preset, which seed. Everything derived is a property.

Environment variables with the prefix ``FVREC_`` set defaults (``FVREC_ROOT=/data/fvrec``); explicit arguments win.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from fvrec.errors import FvrecError

SOURCES = ("embedded", "myntra", "myntra-small", "hm", "deepfashion", "tabular")
DRAWN = "embedded"
"""The source whose photos are made here: no folder of the user's is needed for it."""
FETCHED = ".fetched"
"""Folder below the raw folder that holds pictures from URLs."""
TUNABLE = ("lite0", "lite2")
"""Towers whose last blocks can be fitted to a catalogue."""
TUNED = "-tuned"
"""What the name of a tower ends with that was."""
SWAPPED_PHOTOS = 0.3
"""``TrainingBudget.swapped_photos`` behind a tuned tower, which knows the train photos better than any other."""
STRATEGIES = ("base_rank", "mmr", "rl")


@dataclass(frozen=True)
class LanguageModelSize:
    """Shape of the causal LLM: a Qwen3 as MiniMind-3 is, or a Llama as MiniMind2 is.

    ``intermediate`` is the width of the gated MLP. ``bpe_vocabulary``: words that the catalogue's own tokenizer learns;
    0 for a published model, which brings its tokenizer.
    """

    layers: int
    hidden: int
    heads: int = 8
    kv_heads: int = 4
    intermediate: int = 704
    bpe_vocabulary: int = 3000
    family: Literal["qwen3", "llama"] = "qwen3"


@dataclass(frozen=True)
class TrainingBudget:
    """How long each training stage runs and how fast it learns. Epochs count passes over the train items.

    The rest is said in ``fvrec.vlm.plan.TrainingPlan``. ``pretrain_epochs`` 0: the published model is the base.
    """

    pretrain_epochs: float
    sft_epochs: float
    lora_epochs: float
    batch_size: int = 32
    pretrain_lr: float = 2e-3
    sft_lr: float = 2e-3
    lora_lr: float = 2e-3
    lora_rank: int = 32
    lora_alpha: int = 64
    accumulation: int = 1
    gradient_checkpointing: bool = False
    label_smoothing: float = 0.0
    feature_dropout: float = 0.0
    swapped_photos: float = 0.0
    views: tuple[str, ...] = ()
    bucket: int = 1
    evaluations: int = 0
    patience: int = 0
    freeze_llm: bool = False
    quantize: bool = False


@dataclass(frozen=True)
class TowerTuning:
    """How the last blocks of a Lite tower are fitted to the train split's labels (``fvrec/vlm/tower_tuning.py``).

    blocks: so many of the last learn, with the head; those below stay ImageNet's. views: as in ``TrainingBudget``.
    dropout: of the pooled features before the fields' heads. drop_connect: of whole blocks (stochastic depth).
    """

    epochs: int = 7
    blocks: int = 5
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    label_smoothing: float = 0.05
    dropout: float = 0.2
    drop_connect: float = 0.1
    views: tuple[str, ...] = ("flip", "crop0")


@dataclass(frozen=True)
class RlBudget:
    """Size of the list-level simulation. Pools hold ``pool_size`` candidates, lists ``list_length`` items.

    feed_timesteps: of the policy for feeds; 0: none is trained.
    """

    train_users: int
    test_users: int
    timesteps: int
    feed_timesteps: int = 0
    pool_size: int = 50
    list_length: int = 10


@dataclass(frozen=True)
class Preset:
    """One row of the preset table."""

    name: str
    purpose: str
    embedded_items: int
    llm: LanguageModelSize
    training: TrainingBudget
    rl: RlBudget
    rerank_queries: int
    max_length: int = 1024
    tower: str = "lite0"
    pool: int = 1
    """Side of the square of neighbouring image tokens that are averaged into one."""
    tuning: TowerTuning | None = None
    """How the tower is fitted to the catalogue before it is frozen; None: it stays as it was published."""
    published: str = ""
    """Whose weights training starts from (``fvrec weights fetch`` gets them); empty: random weights."""

    def as_dict(self) -> dict[str, Any]:
        """Plain nested dict, for manifests and ``runs.config``."""
        return asdict(self)

    def tuned(self, plan: TowerTuning | None = None) -> Preset:
        """The same with a tower that is tuned first, by ``plan`` or as the preset says. FvrecError if it cannot be.

        The VLM behind it is then taught with swapped photos (``SWAPPED_PHOTOS``).
        """
        if self.tower not in TUNABLE:
            raise FvrecError(
                "this tower cannot be tuned", where=f"preset {self.name}", found=self.tower, allowed=TUNABLE
            )
        training = replace(self.training, swapped_photos=self.training.swapped_photos or SWAPPED_PHOTOS)
        return replace(self, training=training, tuning=plan or self.tuning or TowerTuning())

    @property
    def tower_name(self) -> str:
        """The tower that features come from, as ``load_tower`` takes it."""
        return self.tower if self.tuning is None else f"{self.tower}{TUNED}"


_TINY = Preset(
    name="tiny",
    purpose="the whole loop in minutes on two cores: EfficientNet-Lite0, 4 layers x 256",
    embedded_items=3000,
    llm=LanguageModelSize(layers=4, hidden=256),
    # On 2,400 drawn products batches of 8 read micro-F1 .85 on val where batches of 32 read .41 in as many epochs.
    training=TrainingBudget(
        pretrain_epochs=2, sft_epochs=2, lora_epochs=5, batch_size=8, pretrain_lr=1.5e-3, evaluations=4
    ),
    rl=RlBudget(train_users=400, test_users=200, timesteps=60_000, feed_timesteps=60_000),
    rerank_queries=200,
)

_LONG = TrainingBudget(
    pretrain_epochs=2,
    sft_epochs=4,
    lora_epochs=8,
    batch_size=16,
    pretrain_lr=1e-3,
    sft_lr=1e-3,
    lora_lr=1e-3,
    feature_dropout=0.3,  # on Myntra's photos, at the size of tiny, it closed the gap to a perceptron
    views=("flip", "crop0", "crop1"),
    bucket=16,
    evaluations=16,
    patience=4,
)
"""For models of 26 M parameters and more: augmented views, early stopping on val."""

_SMALL = replace(
    _TINY,
    name="small",
    purpose="the size of MiniMind2-Small (26 M) on the same tower: hours on two cores",
    llm=LanguageModelSize(8, 512, kv_heads=2, intermediate=1408, bpe_vocabulary=6000, family="llama"),
    # At 1e-3 E2's loss on Myntra rose from the end of its first pass on (docs/results/extraction.md).
    training=replace(_LONG, lora_lr=4e-4),
)
_PUBLISHED = replace(_LONG, pretrain_epochs=0, pretrain_lr=4e-4, sft_lr=4e-4, lora_lr=4e-4)

PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "smoke": replace(
            _TINY,
            name="smoke",
            purpose="every stage once, in at most 90 s: for tests and fault drills, not for numbers",
            embedded_items=240,
            llm=LanguageModelSize(layers=2, hidden=128, intermediate=352, bpe_vocabulary=800),
            # Small batches: what teaches so small a model JSON is the number of steps.
            training=TrainingBudget(pretrain_epochs=6, sft_epochs=2, lora_epochs=9, batch_size=8, evaluations=1),
            rl=RlBudget(train_users=40, test_users=20, timesteps=4_000, feed_timesteps=600, pool_size=20),
            rerank_queries=30,
        ),
        "tiny": _TINY,
        "small": _SMALL,
        "large": replace(
            _SMALL,
            name="large",
            purpose="the size of MiniMind-3 (64 M) on Lite2's finer grid, 3 x 3 cells a token: a GPU, or days",
            llm=LanguageModelSize(8, 768, intermediate=2432, bpe_vocabulary=6000),
            training=replace(
                _LONG,
                pretrain_epochs=6,
                lora_epochs=10,
                batch_size=128,
                lora_rank=64,
                lora_alpha=128,
                label_smoothing=0.05,
                bucket=4,
                evaluations=10,
                patience=3,
            ),
            tower="lite2",
            pool=3,
        ),
        "smollm2": replace(
            _SMALL,
            name="smollm2",
            purpose="SmolLM2-135M-Instruct with its own tokenizer, extended: a GPU, or many hours",
            llm=LanguageModelSize(30, 576, heads=9, kv_heads=3, intermediate=1536, bpe_vocabulary=0, family="llama"),
            training=replace(_PUBLISHED, pretrain_epochs=2, freeze_llm=True, gradient_checkpointing=True),
            published="smollm2",
        ),
        "minimind-v": replace(
            _SMALL,
            name="minimind-v",
            purpose="the plan's fixed choice: CLIP ViT-B/16, 196 image tokens, MiniMind2 (26 M or 104 M, as fetched)",
            llm=LanguageModelSize(8, 512, kv_heads=2, intermediate=1408, bpe_vocabulary=0, family="llama"),
            training=_PUBLISHED,
            tower="clip",
            published="minimind-v",
        ),
        "minimind-3v": replace(
            _SMALL,
            name="minimind-3v",
            purpose="SigLIP2 p32-256, 64 image tokens, a two-layer projector, MiniMind-3 (64 M)",
            llm=LanguageModelSize(8, 768, intermediate=2432, bpe_vocabulary=0),
            training=_PUBLISHED,
            tower="siglip2",
            published="minimind-3v",
        ),
    }
)


def get_preset(name: str) -> Preset:
    """The preset of that name; FvrecError names the allowed ones otherwise."""
    if name not in PRESETS:
        raise FvrecError("unknown preset", where="--preset", found=name, allowed=PRESETS)
    return PRESETS[name]


class Settings(BaseSettings):
    """What a run needs to know. ``root`` moves every place below it at once."""

    model_config = SettingsConfigDict(env_prefix="FVREC_", env_ignore_empty=True, frozen=True)

    root: Path = Field(default=Path(), description="Folder for everything that is made.")
    source: str = Field(
        default="embedded", description="Where products come from.", json_schema_extra={"enum": [*SOURCES]}
    )
    raw: Path | None = Field(default=None, description="Folder of the source's files; empty: data/raw/SOURCE.")
    preset: str = Field(
        default="tiny",
        description="Sizes and budgets: smoke for a trial, tiny for two cores.",
        json_schema_extra={"enum": [*PRESETS]},
    )
    seed: int = Field(default=7, ge=0, description="One seed for every generator.")
    limit: int | None = Field(default=None, description="Take a seeded sample of so many rows; empty: all.")
    alpha: float | None = Field(
        default=None,
        description="What a met constraint adds to an item's score; empty: as tuned on val by the rerank stage.",
    )
    beta: float | None = Field(default=None, description="What a broken constraint takes; empty: as tuned.")
    expected: bool | None = Field(
        default=None, description="Whether constraints count by the confidence of what was read; empty: as tuned."
    )
    weights: Path | None = Field(
        default=None, description="Folder of the preset's published weights; empty: data/weights/NAME."
    )
    pool: int | None = Field(
        default=None,
        ge=1,
        description="Side of the square of neighbouring image tokens that are averaged into one; empty: as the preset.",
    )
    tune_tower: bool | None = Field(
        default=None,
        description="Fit the tower's last blocks to the train split's labels first; empty: as the preset.",
    )
    processes: int = Field(default=1, ge=1, description="Processes that train together, by torchrun.")
    runner: str = Field(
        default="local",
        description="Who does the shards of ingest, features, extraction and RL evaluation: local (this process), "
        "threads, ray (Ray on this machine) or ray://HOST:PORT (a cluster). All give the same results.",
        json_schema_extra={"examples": ["local", "threads", "ray", "ray://head:10001"]},
    )

    @property
    def budget(self) -> Preset:
        """The row of the preset table, with the image tokens and the tuning that were asked for."""
        preset = get_preset(self.preset)
        if self.pool is not None:
            preset = replace(preset, pool=self.pool)
        tuned = preset.tuning is not None if self.tune_tower is None else self.tune_tower
        return preset.tuned() if tuned else replace(preset, tuning=None)

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def raw_dir(self) -> Path:
        """Folder of the source's own files: ``--raw``, or ``data/raw/<source>``."""
        return self.raw if self.raw is not None else self.data / "raw" / self.source

    @property
    def source_manifest(self) -> Path:
        """Origin, licence and fields of what was ingested last."""
        return self.data / "raw" / "kaggle_manifest.json"

    @property
    def processed(self) -> Path:
        return self.data / "processed"

    @property
    def items_file(self) -> Path:
        return self.processed / "items.jsonl"

    @property
    def sft_dir(self) -> Path:
        return self.data / "sft"

    @property
    def eval_dir(self) -> Path:
        return self.data / "eval"

    @property
    def cache(self) -> Path:
        return self.data / "cache"

    @property
    def warehouse_dir(self) -> Path:
        return self.data / "warehouse"

    @property
    def database(self) -> Path:
        """The live file: one writer at a time. Readers outside a flow open ``snapshot``."""
        return self.warehouse_dir / "live.duckdb"

    @property
    def snapshot(self) -> Path:
        """Link to the newest published read-only snapshot."""
        return self.warehouse_dir / "current.duckdb"

    def weights_of(self, published: str) -> Path:
        """Folder of a published model: ``--weights``, or ``data/weights/<name>``."""
        return self.weights if self.weights is not None else self.data / "weights" / published

    def tower_weights(self, tower: str) -> Path | None:
        """Folder that a tower's weights are in; None for one whose weights come in a package."""
        if TUNED in tower:
            return self.models / "tower"
        owner = {"clip": "minimind-v", "siglip2": "minimind-3v"}.get(tower)
        return None if owner is None else self.weights_of(owner)

    @property
    def resume(self) -> Path:
        """Checkpoints of a training under way; gone when it is done."""
        return self.outputs / "resume"

    @property
    def outputs(self) -> Path:
        return self.root / "outputs"

    @property
    def manifests(self) -> Path:
        return self.outputs / "manifests"

    @property
    def models(self) -> Path:
        """Tokenizer and base checkpoint."""
        return self.outputs / "models"

    @property
    def adapters(self) -> Path:
        return self.outputs / "adapters"

    @property
    def policies(self) -> Path:
        return self.outputs / "policies"

    @property
    def logs(self) -> Path:
        return self.outputs / "logs"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def prefect_home(self) -> Path:
        """Inside the root, so that two clones share nothing."""
        return self.root / ".prefect"
