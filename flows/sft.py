"""SFT flow: training data, tokenizer and features, then base, sft and lora."""

from __future__ import annotations

from flows.command import run_as_command
from flows.story import story
from fvrec.config import Settings
from tasks import sft as training
from tasks.sft_data import sft_data
from tasks.stage import StageResult
from tasks.tower import tower


@story("sft")
def sft(settings: Settings) -> list[StageResult]:
    """Make the SFT data, tune the tower where asked, train the three models: E0 (pretrain), E1 (sft), E2 (lora)."""
    tuning = (tower,) if settings.budget.tuning else ()
    stages = (sft_data, *tuning, training.features, training.pretrain, training.sft, training.lora)
    return [stage(settings) for stage in stages]


@story("sft-data")
def sft_samples(settings: Settings) -> list[StageResult]:
    """Make the SFT data alone: its counts, and files to carry elsewhere."""
    return [sft_data(settings)]


if __name__ == "__main__":
    raise SystemExit(run_as_command(sft))
