"""SFT flow: training data, tokenizer and features, then base, sft and lora."""

from __future__ import annotations

from prefect import flow

from flows.command import run_as_command
from fvrec.config import Settings
from tasks import sft as training
from tasks.sft_data import sft_data
from tasks.stage import StageResult


@flow(name="sft", flow_run_name="sft {settings.source} {settings.preset}")
def sft(settings: Settings) -> list[StageResult]:
    """Make the SFT data and train the three models: E0 (pretrain), E1 (sft), E2 (lora)."""
    stages = (sft_data, training.features, training.pretrain, training.sft, training.lora)
    return [stage(settings) for stage in stages]


@flow(name="sft-data", flow_run_name="sft-data {settings.source} {settings.preset}")
def sft_samples(settings: Settings) -> list[StageResult]:
    """Make the SFT data alone: its counts, and files to carry elsewhere."""
    return [sft_data(settings)]


if __name__ == "__main__":
    raise SystemExit(run_as_command(sft))
