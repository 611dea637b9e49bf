"""Training jobs on the toy: all that a process of its own needs, written to a folder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fvrec.records import Item
from fvrec.vlm.collate import TrainingCollator
from fvrec.vlm.features import FeatureCache
from fvrec.vlm.job import TrainingJob
from fvrec.vlm.model import MiniMindVLM, new_model
from fvrec.vlm.plan import TrainingPlan
from fvrec.vlm.samples import sft_samples, to_line
from fvrec.vlm.tokenizer import IMAGE_TOKEN, save_tokenizer, token_id

from .conftest import SIZE

VIEWS = ("flip", "crop0")


@dataclass(frozen=True)
class Toy:
    """The toy's data on disk; ``job`` makes a training of it with places of its own."""

    folder: Path
    features: Path

    @classmethod
    def write(cls, folder: Path, items: list[Item], collator: TrainingCollator) -> Toy:
        cache = FeatureCache(folder / "features", collator.cache.tower)
        cache.ensure({item.image_sha256: Path(item.image_path) for item in items}, views=VIEWS)
        save_tokenizer(collator.encoder.tokenizer, folder / "tokenizer")
        fresh_model(collator).save_pretrained(folder / "start")
        lines = [to_line(sample) for sample in sft_samples(items).samples]
        (folder / "train.jsonl").write_text("\n".join(lines[:54]) + "\n")
        (folder / "val.jsonl").write_text("\n".join(lines[54:]) + "\n")
        return cls(folder, folder / "features")

    def job(self, name: str, plan: TrainingPlan, **changes: Any) -> TrainingJob:
        own = self.folder / name
        job = TrainingJob(
            plan=plan,
            model=str(self.folder / "start"),
            tokenizer=str(self.folder / "tokenizer"),
            samples=str(self.folder / "train.jsonl"),
            features=str(self.features),
            max_length=256,
            output=str(own / "out"),
            log_file=str(own / "train.log"),
            outcome=str(own / "outcome.json"),
            val=str(self.folder / "val.jsonl"),
            work=str(own / "resume"),
        )
        return replace(job, **changes)


def plan_of(method: str, **changes: Any) -> TrainingPlan:
    numbers = {"epochs": 30.0, "batch_size": 4, "learning_rate": 3e-3, "seed": 5, "evaluations": 6}
    if method == "lora":
        numbers |= {"lora_rank": 4, "lora_alpha": 8}
    return TrainingPlan(method, **(numbers | changes))  # type: ignore[arg-type]


def fresh_model(collator: TrainingCollator, seed: int = 3) -> MiniMindVLM:
    tokenizer = collator.encoder.tokenizer
    image = token_id(tokenizer, IMAGE_TOKEN)
    return new_model(SIZE, collator.cache.tower, vocabulary=len(tokenizer), image_token_id=image, seed=seed)
