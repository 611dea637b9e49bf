"""The ``fvrec`` command: the one package that knows all rooms, each entered inside the command that needs it.

One module a group of commands; each offers ``register(app)``.
"""

from __future__ import annotations

import sys
import warnings

import typer
from rich.markup import escape

from fvrec.cli import asking, backup, download, extraction, pipeline, query, serving, sft_data, source, weights
from fvrec.cli.common import err
from fvrec.errors import FvrecError

# transformers 5.23 warns of its own use of a name that it renamed: nothing that the user could do about.
warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)

app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, help="From product photos to lists that explain themselves."
)
for group in (pipeline, sft_data, extraction, query, asking, source, download, weights, serving, backup):
    group.register(app)


def main() -> None:
    """Entry point. A mistake of the user's is one sentence on stderr and exit code 2."""
    try:
        app()
    except FvrecError as error:
        err.print(f"[bold red]error[/bold red]: {escape(str(error))}", soft_wrap=True, highlight=False)
        sys.exit(2)
    except KeyboardInterrupt:
        err.print("interrupted")
        sys.exit(130)
