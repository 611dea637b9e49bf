"""Products as they come, images in any form and titles of any length -> readings, chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice, repeat
from typing import Protocol

from fvrec.errors import FvrecError
from fvrec.prompts import extraction_messages, plain, texts_of
from fvrec.records import Inputs, Mode, Prediction
from fvrec.vlm.collate import FeatureSource
from fvrec.vlm.decoding_types import Cut, Reading
from fvrec.vlm.features import FeatureCache
from fvrec.vlm.images import HeldFeatures, ImageFeatures, ImageInput, LoadedImage
from fvrec.vlm.samples import Sample
from fvrec.vlm.towers import Tower

BAD_IMAGE = "bad_image"
"""``error_class`` of a reading whose image could not be read."""


class Reader(Protocol):
    """Whoever turns samples into readings: an ``Extractor``."""

    @property
    def name(self) -> str: ...

    @property
    def tower(self) -> Tower: ...

    def read(self, samples: Sequence[Sample], cache: FeatureSource, *, mode: Mode) -> list[Reading]: ...


@dataclass(frozen=True, eq=False)
class Product:
    """One product as given; ``number`` is its place in the catalogue and becomes the reading's ``item_id``."""

    number: int
    image: ImageInput | None
    title: str
    description: str

    @property
    def inputs(self) -> Inputs:
        if self.image is None:
            return "title"
        return "image_title" if self.title or self.description else "image"


def read_catalogue(
    reader: Reader,
    images: Iterable[ImageInput | None] | None,
    titles: Iterable[str] | None,
    descriptions: Iterable[str] | None,
    *,
    mode: Mode,
    cache: FeatureCache | None,
    chunk: int,
) -> Iterator[Reading]:
    """Readings in order; while one chunk is read, the next one's images are decoded.

    FvrecError when there is nothing to read from, or images and texts differ in number.
    """
    if images is None and titles is None and descriptions is None:
        raise FvrecError("nothing to read: give images, titles or both")
    features = None if images is None else ImageFeatures(reader.tower, cache)
    chunks = _chunks(_products(images, titles, descriptions), chunk)
    with ThreadPoolExecutor(1) as ahead:
        current = next(chunks, [])
        loading = ahead.submit(_load, current, features)
        while current:
            loaded = loading.result()
            following = next(chunks, [])
            loading = ahead.submit(_load, following, features)
            yield from _read_chunk(reader, current, loaded, features, mode)
            current = following


def _products(
    images: Iterable[ImageInput | None] | None, titles: Iterable[str] | None, descriptions: Iterable[str] | None
) -> Iterator[Product]:
    given = [column for column in (images, titles, descriptions) if column is not None]
    absent: Iterator[None] = repeat(None)
    sources = [iter(absent if column is None else column) for column in (images, titles, descriptions)]
    ends = object()
    for number in range(2**63):
        row = [next(source, ends) for source in sources]
        if sum(value is ends for value in row) == len(given):
            return
        if ends in row:
            raise FvrecError("images, titles and descriptions differ in number", found=f"one ends after {number}")
        yield Product(number, row[0], _text(row[1], number), _text(row[2], number))  # type: ignore[arg-type]


def _text(given: object, number: int) -> str:
    """A title or description; None, and the NaN that stands for it in a table's column, are no text."""
    if given is None or given != given:
        return ""
    if not isinstance(given, str):
        raise FvrecError(
            "a title or description is no text", where=f"product {number}", found=repr(given), allowed="str"
        )
    return given


def _chunks(products: Iterator[Product], size: int) -> Iterator[list[Product]]:
    while some := list(islice(products, size)):
        yield some


def _load(products: Sequence[Product], features: ImageFeatures | None) -> list[LoadedImage]:
    if features is None:
        return [LoadedImage()] * len(products)
    return [LoadedImage() if product.image is None else features.load(product.image) for product in products]


def _read_chunk(
    reader: Reader,
    products: Sequence[Product],
    loaded: Sequence[LoadedImage],
    features: ImageFeatures | None,
    mode: Mode,
) -> Iterator[Reading]:
    held = HeldFeatures({}) if features is None else features.encode(loaded)
    pairs = list(zip(products, loaded, strict=True))
    readable = [(product, _sample(product, image)) for product, image in pairs if not image.error]
    readings = iter(reader.read([sample for _, sample in readable], held, mode=mode))
    samples = {product.number: sample for product, sample in readable}
    for product, image in pairs:
        if image.error:
            yield Reading(_unreadable(product, image.error, reader.name, mode))
        else:
            yield _with_cuts(next(readings), product, samples[product.number])


def _sample(product: Product, image: LoadedImage) -> Sample:
    messages = extraction_messages(product.title, product.description, with_image=product.image is not None)
    return Sample(str(product.number), product.inputs, tuple(messages), target="", image_sha256=image.sha256)


def _unreadable(product: Product, error: str, model: str, mode: Mode) -> Prediction:
    return Prediction(
        item_id=str(product.number),
        model=model,
        inputs=product.inputs,
        mode=mode,
        raw_output="",
        json_valid=False,
        schema_valid=False,
        error=error,
        error_class=BAD_IMAGE,
    )


def _with_cuts(reading: Reading, product: Product, sample: Sample) -> Reading:
    """What the prompt's limits cut off, and what the length limit of the model cut off after that."""
    kept = dict(zip(("title", "description"), map(len, texts_of(sample.messages)), strict=True))
    kept |= {cut.text: cut.kept for cut in reading.cuts}
    lengths = {"title": len(plain(product.title)), "description": len(plain(product.description))}
    cuts = tuple(Cut(text, lengths[text], kept[text]) for text in lengths if kept[text] < lengths[text])
    return replace(reading, cuts=cuts) if cuts else reading
