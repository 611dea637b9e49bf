"""Commands that stay up: the demo page, and the Prefect server with every deployment."""

from __future__ import annotations

import os
import subprocess
from typing import Annotated

import typer

from fvrec.cli.common import PresetOption, RootOption, SourceOption, settings_from
from fvrec.errors import FvrecError


def register(app: typer.Typer) -> None:
    """Add these commands to ``app``."""
    for command in (demo, serve):
        app.command()(command)


def demo(root: RootOption = None, port: Annotated[int, typer.Option(min=1, max=65535)] = 8501) -> None:
    """Open the demo page on the published snapshot."""
    settings = settings_from(root=root)
    if not settings.snapshot.exists():
        raise FvrecError("there is nothing to show yet", where=settings.snapshot, allowed="`fvrec run` makes it")
    from flows.page import page_command, page_environment

    command = page_command(port, opens_browser=True)
    raise typer.Exit(subprocess.call(command, env=page_environment(settings.root)))  # noqa: S603 - our own interpreter


def serve(
    source: SourceOption = None,
    root: RootOption = None,
    preset: PresetOption = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of Prefect's API and UI.")] = 4200,
    page_port: Annotated[
        int, typer.Option("--page-port", min=0, max=65535, help="Port of the page; 0: no page.")
    ] = 8501,
) -> None:
    """Start a Prefect server with its UI, a deployment of every flow, and the page. Ctrl-C ends all."""
    settings = settings_from(source=source, root=root, preset=preset)
    os.environ["FVREC_ROOT"] = str(settings.root)
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "INFO")
    os.environ.setdefault("PREFECT_SERVER_LOGGING_LEVEL", "WARNING")
    from flows.serve import serve_flows

    serve_flows(settings, port=port, page_port=page_port or None)
