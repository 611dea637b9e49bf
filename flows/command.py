"""``python -m flows.<name>``: the same options as the ``fvrec`` command, for one flow."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from threading import Thread

import httpx
from prefect import tags
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, PREFECT_RESULTS_LOCAL_STORAGE_PATH, temporary_settings

from fvrec.config import SOURCES, Settings
from fvrec.errors import FvrecError
from tasks.check import check_settings
from tasks.leftovers import stop_orphaned_servers
from tasks.lock import only_run
from tasks.stage import StageResult

Flow = Callable[[Settings], Iterable[StageResult]]

LIBRARIES = ("fvrec.vlm.train", "fvrec.vlm.towers", "fvrec.vlm.extract")
"""What the whole loop's stages import first: seconds of work for one core, while Prefect's server starts on another."""
_importing: list[Thread] = []


def run_as_command(flow: Flow, arguments: Sequence[str] | None = None) -> int:
    """Parse the options, run the flow, write one line per stage; 2 with one sentence on a mistake of the user's."""
    parser = argparse.ArgumentParser(description=flow.__doc__)
    parser.add_argument("--source", choices=SOURCES)
    parser.add_argument("--raw", type=Path)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--preset")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--runner")
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    try:
        settings = Settings(**given)
        check_settings(settings)
        results = run_in_home(flow, settings)
    except FvrecError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    for result in results:
        sys.stdout.write(f"{result.stage}: {'reused' if result.reused else 'ran'} ({result.seconds:.1f} s)\n")
    return 0


def run_in_home(flow: Flow, settings: Settings) -> list[StageResult]:
    """Run the flow with Prefect's home below the settings' root, wherever this process was started.

    FvrecError when another run is at work in that root.
    """
    home = settings.prefect_home.resolve()
    with ExitStack() as held:
        held.enter_context(only_run(settings))
        stop_orphaned_servers(home)
        if PREFECT_HOME.value() != home:
            places = {PREFECT_HOME: home, PREFECT_RESULTS_LOCAL_STORAGE_PATH: home / "storage"}
            held.enter_context(temporary_settings(places))
        if getattr(flow, "name", "") == "pipeline":
            _importing.append(Thread(target=_import_libraries, daemon=True))
            _importing[-1].start()
        held.enter_context(_reaching_prefect())
        held.enter_context(tags(settings.source, settings.preset))
        return list(flow(settings))


@contextmanager
def _reaching_prefect() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, httpx.TransportError) as error:
        if isinstance(error, RuntimeError) and "Failed to reach API" not in str(error):
            raise
        raise FvrecError(
            "the Prefect server cannot be reached",
            where=PREFECT_API_URL.value(),
            found=str(error),
            allowed="a server that runs; without PREFECT_API_URL each run starts its own",
        ) from error


def await_imports() -> None:
    """Wait for the libraries: two threads that import the same ones at once may see them half made."""
    while _importing:
        _importing.pop().join()


def _import_libraries() -> None:
    # A library that cannot be imported is reported by the stage that needs it.
    with suppress(Exception):
        for name in LIBRARIES:
            import_module(name)
