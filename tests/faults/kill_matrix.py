"""The kill matrix: the pipeline is killed in every stage, run again, and must end as if nothing had happened.

    python -m tests.faults.kill_matrix --kills 40 --json /tmp/kills.json

First one run that nobody kills: its digests and numbers are the reference, and how many changes of files and seconds
each stage takes. Then chains: a root in which the pipeline is killed once in every stage, at a seeded random moment,
and started again each time. After every kill both databases must open and hold no key twice, and every stage that says
it is complete must be; after the last start the root must hold what the reference holds, and nothing else. Every
kill is a line of ``PATH.jsonl``; a matrix that was interrupted goes on after its last whole chain.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from tests.faults.process import Blow, Drill, Ended, prefect_server
from tests.faults.state import STAGES, Kept, faults_at_the_end, faults_now, leftovers, manifests, reported, settings_of

ORPHANS_S = 20.0
"""How long the children of a process that was killed alone may take to find out; Prefect's own server is ended by the
next run."""


@dataclass(frozen=True)
class Reference:
    """A run without a kill. changes: stage -> changes of files; seconds: stage -> how long it took."""

    kept: Kept
    changes: dict[str, int]
    seconds: dict[str, float]

    @classmethod
    def make(cls, drill: Drill, root: Path) -> Reference:
        """Run the pipeline in ``root``; RuntimeError when it does not end well."""
        counts = root.with_name("changes.json")
        ended = drill.run(root, counts=str(counts))
        faults = [ended.said[-2000:]] if ended.code else faults_at_the_end(root, drill.limit, drill.stages or STAGES)
        if faults:
            raise RuntimeError(f"the run without a kill is not sound: {faults}")
        complete = manifests(settings_of(root, drill.limit))
        return cls(
            Kept.of(root, drill.limit),
            json.loads(counts.read_text()),
            {stage: manifest.seconds for stage, manifest in complete.items()},
        )


def blows(reference: Reference, *, chain: int, seed: int, stages: Sequence[str] = STAGES) -> list[Blow]:
    """One blow for every stage: by the step or by the clock, on the group or, every fourth, on the process alone."""
    random = np.random.default_rng([seed, chain])
    made = []
    for stage in stages:
        alone = bool(random.random() < 0.25)
        if random.random() < 0.5:
            made.append(Blow(stage, "step", int(random.integers(1, reference.changes[stage] + 1)), alone))
        else:
            made.append(Blow(stage, "clock", float(random.random() * reference.seconds[stage]), alone))
    return made


@dataclass(frozen=True)
class Chain:
    """One root, killed again and again."""

    drill: Drill
    reference: Reference
    root: Path
    number: int = 0

    def run(self, planned: Sequence[Blow]) -> Iterator[dict[str, Any]]:
        """A record of each kill and one of the end; ``faults`` is empty where all is well."""
        left = set[str]()
        for blow in planned:
            started = time.monotonic()
            ended = self.drill.killed(self.root, blow, self.root.with_name(f"{self.root.name}.begun"))
            if not ended.was_killed:
                faults = [f"exit code {ended.code}: {ended.said[-800:]}"] if ended.code else []
                yield self._record(blow, "missed", started, faults)
                continue
            children = _await_group(ended) if blow.alone else []
            faults = faults_now(self.root, self.drill.limit)
            left |= {*leftovers(self.root)}
            record = self._record(blow, "killed", started, faults)
            yield {**record, "left": len(leftovers(self.root)), "children": children}
        yield self._end(left)

    def _end(self, left: set[str]) -> dict[str, Any]:
        started = time.monotonic()
        ended = self.drill.run(self.root)
        faults = [f"exit code {ended.code}: {ended.said[-800:]}"] if ended.code else self._compared(left)
        return {
            "chain": self.number,
            "outcome": "end",
            "seconds": round(time.monotonic() - started, 1),
            "faults": faults,
        }

    def _compared(self, left: set[str]) -> list[str]:
        said = reported(self.root)
        silent = sorted(name for name in left if not said & {name, *map(str, Path(name).parents)})
        return [
            *faults_at_the_end(self.root, self.drill.limit, self.drill.stages or STAGES),
            *self.reference.kept.differences(Kept.of(self.root, self.drill.limit)),
            *(f"not reported: {name}" for name in silent),
        ]

    def _record(self, blow: Blow, outcome: str, started: float, faults: Sequence[str]) -> dict[str, Any]:
        complete = manifests(settings_of(self.root, self.drill.limit))
        hit = next((stage for stage in STAGES if stage not in complete), "after the end")
        seconds = round(time.monotonic() - started, 1)
        return {
            "chain": self.number,
            **asdict(blow),
            "outcome": outcome,
            "hit": hit,
            "seconds": seconds,
            "faults": [*faults],
        }


def _await_group(ended: Ended) -> list[str]:
    """Command lines of what the killed process leaves running after a while; Prefect's server is one as a rule."""
    deadline = time.monotonic() + ORPHANS_S
    while living := [one for one in psutil.process_iter(["cmdline"]) if _in_group(one, ended.group)]:
        commands = [" ".join(one.info["cmdline"] or [])[:120] for one in living]
        if time.monotonic() > deadline or all("prefect.server" in command for command in commands):
            return commands
        time.sleep(0.2)
    return []


def _in_group(process: psutil.Process, group: int) -> bool:
    try:
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.Error):
        return False


@dataclass(frozen=True)
class Matrix:
    """All chains. work: folder of the roots; log: one line a record."""

    drill: Drill
    work: Path
    log: Path
    seed: int

    def run(self, kills: int) -> list[dict[str, Any]]:
        """Kill until at least so many kills have hit; returns every record."""
        reference = self._reference()
        records = self._earlier()
        chain = max((record["chain"] for record in records), default=-1) + 1
        while _hits(records) < kills:
            root = self.work / f"chain-{chain}"
            shutil.rmtree(root, ignore_errors=True)
            made = []
            for record in Chain(self.drill, reference, root, chain).run(blows(reference, chain=chain, seed=self.seed)):
                made.append(record)
                with self.log.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(record) + "\n")
            records += made
            bad = sum(bool(record["faults"]) for record in made)
            print(f"chain {chain}: {_hits(made)} kills, {bad} with faults", flush=True)
            if not bad:
                shutil.rmtree(root)
            chain += 1
        return records

    def _reference(self) -> Reference:
        file = self.work / "reference.json"
        if file.exists():
            body = json.loads(file.read_text())
            return Reference(Kept.from_dict(body["kept"]), body["changes"], body["seconds"])
        shutil.rmtree(self.work / "reference", ignore_errors=True)
        made = Reference.make(self.drill, self.work / "reference")
        file.write_text(json.dumps({"kept": made.kept.as_dict(), "changes": made.changes, "seconds": made.seconds}))
        return made

    def _earlier(self) -> list[dict[str, Any]]:
        lines = self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []
        records = [json.loads(line) for line in lines]
        whole = {record["chain"] for record in records if record["outcome"] == "end"}
        return [record for record in records if record["chain"] in whole]


def _hits(records: Sequence[dict[str, Any]]) -> int:
    return sum(record["outcome"] == "killed" for record in records)


def summary(records: Sequence[dict[str, Any]], seed: int) -> dict[str, Any]:
    """Counts of a matrix, and every fault."""
    killed = [record for record in records if record["outcome"] == "killed"]
    return {
        "kills": len(killed),
        "chains": sum(record["outcome"] == "end" for record in records),
        "missed": sum(record["outcome"] == "missed" for record in records),
        "by_stage": dict(Counter(record["hit"] for record in killed)),
        "by_kind": dict(Counter(f"{record['kind']}{', alone' if record['alone'] else ''}" for record in killed)),
        "kills_that_left_files": sum(record["left"] > 0 for record in killed),
        "seconds": round(sum(record["seconds"] for record in records), 1),
        "seed": seed,
        "faults": [record for record in records if record["faults"]],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the matrix; 1 when anything is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path, required=True, help="file for the summary; PATH.jsonl is the log")
    parser.add_argument("--work", type=Path, help="folder for the roots [a temporary one]")
    parser.add_argument("--own-servers", action="store_true", help="each process starts its own Prefect server")
    given = parser.parse_args(arguments)
    with ExitStack() as held:
        work = given.work or Path(held.enter_context(tempfile.TemporaryDirectory(prefix="fvrec-kills-")))
        work.mkdir(parents=True, exist_ok=True)
        drill = Drill()
        if not given.own_servers:
            drill = replace(drill, api=held.enter_context(prefect_server(work / "prefect")))
        log = given.json.with_name(f"{given.json.name}l")
        records = Matrix(drill, work, log, given.seed).run(given.kills)
    made = summary(records, given.seed)
    given.json.write_text(json.dumps(made, indent=1) + "\n")
    print(json.dumps({**made, "faults": len(made["faults"])}, indent=1))
    return 1 if made["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
