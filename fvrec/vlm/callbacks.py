"""What watches a training: the log file, the bar, TensorBoard, and the stop on val."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from transformers import ProgressCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations import TensorBoardCallback

from fvrec.artifacts import remove


class LogLines(TrainerCallback):
    """Appends what the Trainer logs to a file, a JSON object a line, with the samples a second since the start.

    Taken up again at a step, it drops the lines that an interrupted run wrote after that step.
    """

    def __init__(self, path: Path, *, batch_size: int, resumed_from: int) -> None:
        self.path = path
        self.batch_size = batch_size
        self.first = resumed_from
        self.started = perf_counter()
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_text().splitlines() if resumed_from and path.exists() else []
        kept = [line for line in before if _step_of(line) <= resumed_from]
        path.write_text("".join(f"{line}\n" for line in kept))

    def write(self, **values: Any) -> None:
        """Append one line."""
        with self.path.open("a") as file:
            file.write(json.dumps(values) + "\n")

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        self.started = perf_counter()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        values = dict(logs or {})
        if "loss" in values:
            seconds = max(perf_counter() - self.started, 1e-9)
            values["samples_per_second"] = (state.global_step - self.first) * self.batch_size / seconds
        self.write(step=state.global_step, of=state.max_steps, **values)


class Bar(ProgressCallback):
    """The Trainer's bar without a printed line per logged step: those are in the log file."""

    def on_log(self, *args: Any, **kwargs: Any) -> None:
        return


class StopEarly(TrainerCallback):
    """Ends training when the loss on val has not got better for ``patience`` evaluations."""

    def __init__(self, patience: int) -> None:
        self.patience = patience

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if is_stale(state.log_history, self.patience):
            control.should_training_stop = True


def is_stale(history: Sequence[Mapping[str, Any]], patience: int) -> bool:
    """Whether the best loss on val lies ``patience`` evaluations back. By the log: a resumed run decides alike."""
    losses = [float(entry["eval_loss"]) for entry in history if "eval_loss" in entry]
    return bool(losses) and len(losses) - 1 - losses.index(min(losses)) >= patience


def tensorboard(folder: Path, *, resumed_from: int) -> TensorBoardCallback:
    """Event files below ``folder``; a new training clears those of the one before, a resumed one goes on."""
    from torch.utils.tensorboard import SummaryWriter

    if not resumed_from:
        remove(folder)
    return TensorBoardCallback(SummaryWriter(log_dir=str(folder), purge_step=resumed_from or None))


def _step_of(line: str) -> float:
    """The step of a log line; a line that was cut short counts as later than any."""
    try:
        return float(json.loads(line).get("step", 0))
    except ValueError:
        return float("inf")
