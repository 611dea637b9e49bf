"""A training stage as a process of its own, or as several under ``torchrun``: all it needs is in one JSON file.

python -m fvrec.vlm.job JOB.json
torchrun --standalone --nproc-per-node 2 -m fvrec.vlm.job JOB.json
torchrun --nnodes 2 --rdzv-backend c10d --rdzv-endpoint HOST:29500 -m fvrec.vlm.job JOB.json     (on each machine)
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from accelerate import PartialState

from fvrec.artifacts import atomic_write
from fvrec.errors import FvrecError
from fvrec.records import CurvePoint
from fvrec.vlm.collate import Encoder, TrainingCollator
from fvrec.vlm.features import FeatureCache
from fvrec.vlm.model import load_model
from fvrec.vlm.plan import TrainingOutcome, TrainingPlan
from fvrec.vlm.quantized import load_quantized
from fvrec.vlm.samples import read_samples
from fvrec.vlm.tokenizer import load_tokenizer
from fvrec.vlm.towers import load_tower
from fvrec.vlm.train import run_training
from fvrec.vlm.weights import model_digest

MEETING_POINT = "PET_RDZV_ENDPOINT"


@dataclass(frozen=True)
class TrainingJob:
    """Where everything lies. ``model``: the checkpoint to start from; ``samples`` and ``val``: files of sample lines.

    ``features``: the folder of cached features, where every photo and view already is. ``outcome``: the JSON file that
    says how it went. ``tower``, ``pool`` and ``tower_weights`` are ``load_tower``'s.
    """

    plan: TrainingPlan
    model: str
    tokenizer: str
    samples: str
    features: str
    max_length: int
    output: str
    log_file: str
    outcome: str
    val: str = ""
    work: str = ""
    tower: str = "lite0"
    pool: int = 1
    tower_weights: str = ""
    show_progress: bool = False

    def write(self, path: Path) -> None:
        atomic_write(path, json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> TrainingJob:
        """FvrecError when the file is no job."""
        try:
            body = json.loads(path.read_text())
            plan = body.pop("plan")
            return cls(plan=TrainingPlan(**{**plan, "views": tuple(plan["views"])}), **body)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise FvrecError(f"not a training job ({error})", where=path) from error

    def run(self) -> TrainingOutcome:
        """Train here, alone or as one of torchrun's processes; the first of them writes ``outcome``."""
        base = Path(self.model)
        model = load_quantized(base) if self.plan.quantize else load_model(base)
        tower = load_tower(self.tower, pool=self.pool, weights=Path(self.tower_weights) if self.tower_weights else None)
        encoder = Encoder(load_tokenizer(Path(self.tokenizer)), model.config.visual_positions, self.max_length)
        outcome = run_training(
            model,
            list(read_samples(Path(self.samples))),
            TrainingCollator(encoder, FeatureCache(Path(self.features), tower)),
            self.plan,
            output=Path(self.output),
            log_file=Path(self.log_file),
            show_progress=self.show_progress,
            val=list(read_samples(Path(self.val))) if self.val else (),
            work=Path(self.work) if self.work else None,
            base_digest=model_digest(load_model(base)) if self.plan.quantize else None,
        )
        if PartialState().is_main_process:
            atomic_write(Path(self.outcome), json.dumps(asdict(outcome)) + "\n")
        return outcome


def over_machines() -> bool:
    """Whether torchrun's own environment names a meeting point: this machine then trains together with others."""
    return bool(os.environ.get(MEETING_POINT))


def launch(job: TrainingJob, job_file: Path, *, processes: int) -> TrainingOutcome:
    """Run the job in so many processes under torchrun and read its outcome. FvrecError when one of them fails.

    Over machines the others start torchrun on ``job_file`` themselves, and all wait for one another.
    """
    job.plan.micro_batch(processes)
    job.write(job_file)
    Path(job.outcome).unlink(missing_ok=True)
    alone = [] if over_machines() else ["--standalone"]
    torchrun = ["-m", "torch.distributed.run", *alone, "--nproc-per-node", str(processes)]
    done = subprocess.run([sys.executable, *torchrun, "-m", __name__, str(job_file)], stderr=subprocess.PIPE, text=True)  # noqa: S603
    if done.returncode or not Path(job.outcome).is_file():
        said = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        raise FvrecError(
            "training in several processes failed: " + (said[0].removeprefix("error: ") if said else "no reason given"),
            where=job.log_file,
            found=None if said else done.stderr[-800:],
        )
    body = json.loads(Path(job.outcome).read_text())
    return TrainingOutcome(**{**body, "curve": tuple(CurvePoint(**point) for point in body["curve"])})


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 2 and one line on stderr for a mistake of the user's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", type=Path)
    try:
        TrainingJob.read(parser.parse_args(arguments).job).run()
    except FvrecError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
