"""The parsers under atheris: inputs are changed towards branches that none before them reached.

    python -m tests.fuzz.guided [answers requests tables mappings] [--runs 50000] [--seed 7]

Each parser has a process of its own, as libFuzzer ends the one that it runs in. The first input that breaks a property
(``tests/fuzz/properties.py``) stops it: its traceback is printed, its bytes are kept beside ``--keep``. Exit status 1
when there was one. Short: ``tests/fuzz/test_guided.py``.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

KINDS = ("answers", "requests", "tables", "mappings")
INSTRUMENTED = ["fvrec.schema", "fvrec.sources", "fvrec.rerank"]
LONGEST, SLOWEST_S = 4096, 20
SEEDS: dict[str, tuple[str, ...]] = {
    "answers": ('{"category":"dress","color":"blue","confidence":{"category":0.9}}', "[[[[", '{"a":NaN}'),
    "requests": ("blue dress, not striped, under 30", "不要红色的连衣裙，最好是棉的", "shirt for men or a jacket"),
    "tables": ("id,title\n1,dress\n", 'id;title\n1;"a\nb"\n2;""\n', "id\ttitle\n1\t'x\n"),
    "mappings": (),
}


def seeds(kind: str) -> tuple[str, ...]:
    """Inputs to start from: without any, no random text is ever an answer, a table or a mapping."""
    from fvrec.schema import FIELDS, VALUES, render_answer
    from tests.fuzz.test_bad_input import MAPPING

    if kind == "answers":
        whole = render_answer({field: VALUES[field][0] for field in FIELDS}, dict.fromkeys(FIELDS, 0.5))
        return (*SEEDS[kind], whole)
    return (MAPPING,) if kind == "mappings" else SEEDS[kind]


def property_of(kind: str, folder: Path) -> Callable[[bytes], None]:
    """What is asked of every input of this kind."""
    from tests.fuzz import properties

    if kind == "tables":
        return lambda data: properties.a_table_is_read_or_refused(folder / "table.csv", data)
    if kind == "mappings":
        return lambda data: properties.a_mapping_is_understood_or_refused(folder / "mapping.toml", data)
    of_text = properties.an_answer_is_judged if kind == "answers" else properties.a_request_is_read
    return lambda data: of_text(data.decode("utf-8", "replace"))


def fuzz(kind: str, runs: int, seed: int, keep: Path, scratch: Path) -> None:
    """Does not return: libFuzzer ends the process, with 0 when nothing broke. ``scratch`` is left as it is then."""
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):
        corpus = scratch / "corpus"
        corpus.mkdir()
        for number, text in enumerate(seeds(kind)):
            (corpus / str(number)).write_text(text, encoding="utf-8")
        options = [f"-runs={runs}", f"-seed={seed}", f"-max_len={LONGEST}", f"-timeout={SLOWEST_S}"]
        options += [f"-artifact_prefix={keep}-{kind}-", "-rss_limit_mb=0", "-print_final_stats=1"]
        atheris.Setup([sys.argv[0], *options, str(corpus)], property_of(kind, scratch))
        atheris.Fuzz()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}; all without one")
    parser.add_argument("--runs", type=int, default=50_000, help="inputs for each")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--keep", type=Path, default=Path("broken"), help="beginning of the names of what broke")
    parser.add_argument("--scratch", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if unknown := {*options.kinds} - {*KINDS}:
        parser.error(f"{', '.join(sorted(unknown))}: choose from {', '.join(KINDS)}")
    if importlib.util.find_spec("atheris") is None:
        parser.error("atheris is not installed: `pip install -e '.[dev]'` brings it on Linux")
    if options.scratch:
        fuzz(options.kinds[0], options.runs, options.seed, options.keep, options.scratch)
    numbers = ["--runs", str(options.runs), "--seed", str(options.seed), "--keep", str(options.keep)]
    failed = []
    for kind in options.kinds or KINDS:
        with tempfile.TemporaryDirectory() as scratch:
            command = [sys.executable, "-m", "tests.fuzz.guided", kind, "--scratch", scratch, *numbers]
            if subprocess.run(command, check=False).returncode:
                failed.append(kind)
    said = f"stopped: {', '.join(failed)} (above is why)" if failed else "none broke a parser"
    print(f"{options.runs} inputs for each parser at most, {said}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
