"""The HTTP service: a product photo and its title in, attributes as JSON out. ``/docs`` is its OpenAPI page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import FastAPI, File, Form, HTTPException, Request, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from PIL import Image
from pydantic import BaseModel, Field
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.batching import Batcher, BatchPolicy, QueueFullError, Read
from fvrec import __version__
from fvrec.imaging import IMAGE_TOO_LARGE, ImageError, decode_image
from fvrec.schema import SCHEMA_VERSION
from fvrec.vlm.decoding_types import Reading

MAX_IMAGE_MB = 10
_FORM_ROOM = 256 * 1024
"""Bytes that a request may have beside its image: the title and the multipart marks."""
_NO_TYPE = ("", "application/octet-stream")


class ModelInfo(BaseModel):
    """What answers. ``calibrated``: the input variants whose confidences are temperature-scaled."""

    name: str
    weights_sha256: str
    calibrated: list[str]
    abstains: bool
    schema_version: int = SCHEMA_VERSION
    version: str = __version__


class ShortenedText(BaseModel):
    """A text that was too long: only its first ``kept`` of ``length`` characters were read."""

    text: str
    length: int
    kept: int


class Extracted(BaseModel):
    """The ten attributes and how sure each is; ``error`` says why there are none."""

    attributes: dict[str, str]
    confidence: dict[str, float]
    error: str | None = None
    cuts: list[ShortenedText] = Field(default_factory=list)


class Health(BaseModel):
    """``waiting``: requests in line; ``largest_batch``: of all batches so far."""

    status: str
    model: ModelInfo
    waiting: int
    requests: int
    batches: int
    largest_batch: int


class Problem(BaseModel):
    """Why a request was refused."""

    detail: str


_REFUSALS: dict[int | str, dict[str, object]] = {
    413: {"model": Problem, "description": "The image is too large, in bytes or in pixels."},
    415: {"model": Problem, "description": "The file is no image."},
    422: {"description": "The image is damaged, or the form is incomplete."},
    503: {"model": Problem, "description": "Too many requests are waiting."},
}


def create_app(
    read: Read, info: ModelInfo, *, policy: BatchPolicy | None = None, max_image_mb: float = MAX_IMAGE_MB
) -> FastAPI:
    """The service over ``read``. Requests are answered in batches; stopping it answers those that wait."""
    batcher = Batcher(read, policy or BatchPolicy())
    max_bytes = int(max_image_mb * 1024 * 1024)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with batcher:
            yield

    service = FastAPI(
        title="fvrec", version=__version__, description="Attributes of fashion products.", lifespan=lifespan
    )
    service.add_middleware(BodyLimit, max_bytes=max_bytes + _FORM_ROOM)
    service.add_exception_handler(QueueFullError, _busy)

    @service.post("/extract", responses=_REFUSALS)
    async def extract(image: Annotated[UploadFile, File()], title: Annotated[str, Form()] = "") -> Extracted:
        """Read one product: its photo, and its title when there is one."""
        photo = await _photo(image, max_bytes)
        return _extracted(await batcher.submit(photo, title))

    @service.get("/health")
    async def health() -> Health:
        """Whether the service is up, what answers, and what it has done."""
        counts = batcher.counts
        return Health(
            status="ok",
            model=info,
            waiting=batcher.waiting,
            requests=counts.requests,
            batches=counts.batches,
            largest_batch=counts.largest,
        )

    return service


class BodyLimit:
    """ASGI middleware: a request body of more than ``max_bytes`` is refused with 413, before all of it has come."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self.max_bytes:
            await JSONResponse({"detail": self._detail}, 413)(scope, receive, send)
            return
        await self.app(scope, self._counting(receive), send)

    @property
    def _detail(self) -> str:
        return f"the request is larger than {self.max_bytes} bytes"

    def _counting(self, receive: Receive) -> Receive:
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.max_bytes:  # a length that was not announced, or not truly
                raise HTTPException(413, self._detail)
            return message

        return counted


async def _photo(upload: UploadFile, max_bytes: int) -> Image.Image:
    declared = (upload.content_type or "").partition(";")[0].strip().lower()
    if declared not in _NO_TYPE and not declared.startswith("image/"):
        raise HTTPException(415, f"{declared} is no image type")
    data = await upload.read()
    if len(data) > max_bytes:
        raise HTTPException(413, f"the image has {len(data)} bytes; allowed: {max_bytes}")
    try:
        return await run_in_threadpool(decode_image, data, at_least=224)
    except ImageError as problem:
        if problem.reason == IMAGE_TOO_LARGE:
            raise HTTPException(413, str(problem)) from problem
        raise HTTPException(422 if declared.startswith("image/") else 415, str(problem)) from problem


def _extracted(reading: Reading) -> Extracted:
    cuts = [ShortenedText(text=cut.text, length=cut.length, kept=cut.kept) for cut in reading.cuts]
    return Extracted(
        attributes=dict(reading.attributes),
        confidence={field: round(value, 4) for field, value in reading.confidence.items()},
        error=reading.error or None,
        cuts=cuts,
    )


async def _busy(_: Request, problem: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(problem)}, 503, headers={"Retry-After": "1"})
