"""A contact sheet: what a source's products look like, with the values it claims for them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from fvrec.artifacts import staged
from fvrec.errors import FvrecError
from fvrec.imaging import ImageError, read_image
from fvrec.records import Quarantined
from fvrec.schema import UNKNOWN
from fvrec.sources.base import RawRow

CELL, CAPTION = 224, 46
_CAPTIONED = (("category", "color", "pattern"), ("material", "fit", "sleeve_length", "neckline"),
              ("gender", "season", "style"))  # fmt: skip


def contact_sheet(rows: Iterable[RawRow | Quarantined], path: Path, columns: int = 8) -> int:
    """Write the photos of ``rows`` with their known values as one PNG, ``columns`` wide; returns how many it shows.

    Rejected rows and photos that cannot be read are left out; the caller has seen to it that the photos lie in the raw
    folder (``fvrec.catalog.admission.admitted_rows``). FvrecError when nothing is left or columns < 1.
    """
    if columns < 1:
        raise FvrecError("a contact sheet needs a column", where="columns", found=columns, allowed="1 or more")
    cells = [cell for row in rows if isinstance(row, RawRow) and (cell := _cell(row)) is not None]
    if not cells:
        raise FvrecError("no photo to show", where=path)
    width = min(columns, len(cells))
    height = -(-len(cells) // width)
    sheet = Image.new("RGB", (width * (CELL + 8) + 8, height * (CELL + CAPTION + 8) + 8), "white")
    for index, cell in enumerate(cells):
        sheet.paste(cell, (8 + index % width * (CELL + 8), 8 + index // width * (CELL + CAPTION + 8)))
    with staged(path) as unfinished:
        sheet.save(unfinished, format="PNG")
    return len(cells)


def _cell(row: RawRow) -> Image.Image | None:
    try:
        photo = read_image(row.image_path, at_least=CELL)
    except ImageError:
        return None
    cell = Image.new("RGB", (CELL, CELL + CAPTION), "white")
    cell.paste(ImageOps.pad(photo, (CELL, CELL), color="white"), (0, 0))
    pen, font = ImageDraw.Draw(cell), ImageFont.load_default(12)
    for line, fields in enumerate(_CAPTIONED):
        known = [row.attributes[field].value for field in fields if row.attributes[field].value != UNKNOWN]
        pen.text((2, CELL + 1 + line * 15), " · ".join(known), fill=(40, 44, 52), font=font)
    return cell
