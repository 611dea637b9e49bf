"""Seeded damage: what happens to photos on disks and to tables in office programs, and what an attacker writes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

Generator = np.random.Generator
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp", "TIFF": ".tif"}


def photo(random: Generator, form: str) -> bytes:
    """A small noisy picture in one of the formats that shops send, in one of the modes it can have."""
    modes = {"JPEG": ("RGB", "L", "CMYK"), "PNG": ("RGB", "RGBA", "P", "L", "I;16"), "GIF": ("P",), "BMP": ("RGB", "L"),
             "WEBP": ("RGB", "RGBA"), "TIFF": ("RGB", "L", "CMYK", "I;16")}  # fmt: skip
    size = (int(random.integers(8, 60)), int(random.integers(8, 60)))
    pixels = random.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    mode = str(random.choice(modes[form]))
    image = Image.fromarray(pixels).convert("L") if mode == "I;16" else Image.fromarray(pixels).convert(mode)
    file = BytesIO()
    options = {"save_all": True, "append_images": [image]} if form == "GIF" and random.random() < 0.3 else {}
    (image.convert("I;16") if mode == "I;16" else image).save(file, form, **options)
    return file.getvalue()


def truncate(data: bytes, random: Generator) -> bytes:
    return data[: int(random.integers(0, len(data)))]


def flip(data: bytes, random: Generator) -> bytes:
    changed = bytearray(data)
    for at in random.integers(0, len(data), int(random.integers(1, 30))):
        changed[int(at)] ^= int(random.integers(1, 256))
    return bytes(changed)


def flip_head(data: bytes, random: Generator) -> bytes:
    """Headers hold sizes, offsets and counts: that is where damage becomes dangerous."""
    return flip(data[:64], random) + data[64:]


def zero_run(data: bytes, random: Generator) -> bytes:
    start = int(random.integers(0, len(data)))
    length = int(random.integers(1, len(data)))
    return (data[:start] + bytes(length) + data[start + length :])[: len(data)]


def repeat(data: bytes, random: Generator) -> bytes:
    start, end = sorted(random.integers(0, len(data), 2).tolist())
    return data[:end] + data[start:end] * int(random.integers(1, 5)) + data[end:]


def empty(data: bytes, random: Generator) -> bytes:
    return b""


def text(data: bytes, random: Generator) -> bytes:
    return b"<html>404</html>" * int(random.integers(1, 50))


def huge_header(data: bytes, random: Generator) -> bytes:
    """50,000 x 50,000 pixels in a few bytes."""
    return [_huge_png, _huge_bmp, _huge_gif, _huge_jpeg][int(random.integers(4))]()


PHOTO_MUTATIONS: tuple[Callable[[bytes, Generator], bytes], ...] = (
    truncate, flip, flip_head, zero_run, repeat, empty, text, huge_header,
)  # fmt: skip


def _huge_png() -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def _huge_bmp() -> bytes:
    return (
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 154, 0, 0, 54, 40, 50_000, 50_000, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(100)
    )


def _huge_gif() -> bytes:
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", 50_000, 50_000, 0, 0, 0)
        + b","
        + struct.pack("<HHHHB", 0, 0, 50_000, 50_000, 0)
    )


def _huge_jpeg() -> bytes:
    file = BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG")
    data = bytearray(file.getvalue())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 50_000, 50_000)
    return bytes(data)


HEADER = ["id", "title", "category", "color", "gender", "image"]
OUTSIDE = ("../secret.jpg", "../../secret.jpg", "images/../../secret.jpg", "..\\secret.jpg", "/etc/passwd",
           "~/secret.jpg", "{secret}", "link.jpg", "linked/secret.jpg", "file://{secret}", "C:\\secret.jpg", "images",
           ".", "a\x00b.jpg", "x" * 5000 + ".jpg", "con", "%2e%2e/secret.jpg")  # fmt: skip
BAD_IDS = ("../../etc/passwd", "/etc/passwd", "..", ".", "", "a/b", "a\\b", "x" * 400, "\x01", "p0", "nan")


@dataclass(frozen=True)
class DamagedTable:
    """The bytes of a table, and the ids that must come out of it: rows without trouble in a file that is whole."""

    data: bytes
    sound: frozenset[str]


def table(random: Generator, *, secret: str) -> DamagedTable:
    """A shop's table with rows that are fine and rows that are not, then damaged as a file (a third of them is not)."""
    rows = [_row(number, random, secret) for number in range(int(random.integers(3, 40)))]
    header = list(HEADER)
    if random.random() < 0.15:
        gone = int(random.integers(len(header)))
        header = header[:gone] + header[gone + 1 :]
    delimiter = str(random.choice([",", ",", ",", ";", "\t", "|"]))
    line_end = str(random.choice(["\n", "\n", "\r\n", "\r"]))
    written = line_end.join([delimiter.join(header), *(delimiter.join(row.cells) for row in rows)])
    if random.random() < 0.7:
        written += line_end
    encoding = str(random.choice(["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "gb18030"]))
    data = written.encode(encoding, "replace")
    mutations = (truncate, flip, zero_run, repeat, _nuls, _quotes, _same, _same, _same)
    mutate = mutations[int(random.integers(len(mutations)))]
    whole = mutate is _same and header == HEADER
    return DamagedTable(mutate(data, random), frozenset(row.cells[0] for row in rows if row.sound and whole))


@dataclass(frozen=True)
class _Row:
    cells: list[str]
    sound: bool


def _row(number: int, random: Generator, secret: str) -> _Row:
    row = [f"p{number}", f"name {number}", str(random.choice(["dress", "连衣裙", "shirt", "gadget", ""])),
           str(random.choice(["red", "大红", "octarine"])), str(random.choice(["women", "男", ""])),
           f"{int(random.integers(4))}.jpg"]  # fmt: skip
    trouble = random.random()
    if trouble < 0.1:
        row[0] = str(random.choice(BAD_IDS))
    elif trouble < 0.35:
        row[5] = str(random.choice(OUTSIDE)).replace("{secret}", secret)
    elif trouble < 0.4:
        row[1] = '"two\nlines, and ""quotes"""'
    elif trouble < 0.45:
        row[1] = '"never closed'
    elif trouble < 0.5:
        row[1] = 'x" of something, with a bare comma'
    elif trouble < 0.53:
        row[1] = "y" * int(random.choice([140_000, 1_200_000]))
    elif trouble < 0.56:
        del row[int(random.integers(6)) :]
    return _Row(row, sound=trouble >= 0.56 and row[2] != "")


def _nuls(data: bytes, random: Generator) -> bytes:
    for at in sorted(random.integers(0, len(data), 5).tolist(), reverse=True):
        data = data[:at] + b"\0" * int(random.integers(1, 4)) + data[at:]
    return data


def _quotes(data: bytes, random: Generator) -> bytes:
    for at in sorted(random.integers(0, len(data), 5).tolist(), reverse=True):
        data = data[:at] + b'"' + data[at:]
    return data


def _same(data: bytes, random: Generator) -> bytes:
    return data
