"""The HTTP service over a reader whose answer is known: the colour of the photo, and the title it was sent with."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from io import BytesIO

import httpx
import pytest
import uvicorn
from fastapi.testclient import TestClient
from PIL import Image

from app.api import ModelInfo, create_app
from app.batching import Batcher, BatchPolicy, QueueFullError
from fvrec.records import Prediction
from fvrec.schema import FIELDS, UNKNOWN, json_schema
from fvrec.vlm.decoding_types import Cut, Reading
from tests.app.conftest import png_bytes

INFO = ModelInfo(name="lora", weights_sha256="ab" * 32, calibrated=["image"], abstains=False)
SHADES = {"red": (250, 0, 0), "green": (0, 250, 0), "blue": (0, 0, 250)}


class ByColour:
    """Names a photo's main channel as its colour; the title comes back as the item's name."""

    def __init__(self, delay: float = 0.0) -> None:
        self.sizes: list[int] = []
        self.delay = delay

    def __call__(self, images: Sequence[Image.Image], titles: Sequence[str]) -> list[Reading]:
        self.sizes.append(len(images))
        time.sleep(self.delay)
        return [self._one(image, title) for image, title in zip(images, titles, strict=True)]

    def _one(self, image: Image.Image, title: str) -> Reading:
        if title == "break":
            raise RuntimeError("the model failed")
        channels = image.resize((1, 1)).getpixel((0, 0))
        colour = list(SHADES)[channels.index(max(channels))]
        attributes = dict.fromkeys(FIELDS, UNKNOWN) | {"color": colour}
        made = Prediction(
            title, "lora", "image_title", "constrained", "{}", True, True, "", "", attributes,
            dict.fromkeys(FIELDS, 0.123456),
        )  # fmt: skip
        return Reading(made, cuts=(Cut("title", len(title), 200),) if len(title) > 200 else ())


def photo(colour: str) -> bytes:
    file = BytesIO()
    Image.new("RGB", (40, 60), SHADES[colour]).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(create_app(ByColour(), INFO, max_image_mb=0.05), raise_server_exceptions=False) as client:
        yield client


def send(client: TestClient | httpx.Client, data: bytes, kind: str = "image/jpeg", **form: str) -> httpx.Response:
    return client.post("/extract", files={"image": ("photo", data, kind)}, data=form)


def test_a_photo_comes_back_as_attributes(client: TestClient) -> None:
    answer = send(client, photo("green"), title="a green thing")
    assert answer.status_code == 200
    body = answer.json()
    assert body["attributes"]["color"] == "green"
    assert list(body["attributes"]) == list(FIELDS)
    assert body["confidence"]["color"] == pytest.approx(0.1235)
    assert (body["error"], body["cuts"]) == (None, [])


def test_a_title_may_be_left_out_and_a_long_one_is_reported_as_cut(client: TestClient) -> None:
    assert send(client, photo("red")).json()["attributes"]["color"] == "red"
    long = send(client, photo("red"), title="dress " * 400)
    assert long.status_code == 200
    assert long.json()["cuts"] == [{"text": "title", "length": 2400, "kept": 200}]


@pytest.mark.parametrize(
    ("data", "kind", "status"),
    [
        (b"hello", "text/plain", 415),
        (b"hello", "application/octet-stream", 415),
        (b"hello", "image/jpeg", 422),
        (photo("red")[:300], "image/jpeg", 422),
        (b"", "image/png", 422),
        (b"\x00" * 60_000, "image/jpeg", 413),
        (b"\x00" * 800_000, "image/jpeg", 413),
        (png_bytes(20_000, 5_000), "image/png", 413),
    ],
)
def test_what_is_no_usable_photo_is_refused(client: TestClient, data: bytes, kind: str, status: int) -> None:
    answer = send(client, data, kind)
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]
    assert send(client, photo("blue")).status_code == 200


def test_a_body_without_a_length_is_limited_too(client: TestClient) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
        for _ in range(40):
            yield b"\x00" * 20_000

    answer = client.post("/extract", content=chunks(), headers={"content-type": "multipart/form-data; boundary=x"})
    assert answer.status_code == 413


def test_a_form_without_a_photo_says_what_is_missing(client: TestClient) -> None:
    answer = client.post("/extract", data={"title": "dress"})
    assert answer.status_code == 422
    assert "image" in answer.text


def test_health_and_the_openapi_page(client: TestClient) -> None:
    send(client, photo("red"))
    body = client.get("/health").json()
    assert (body["status"], body["requests"], body["batches"]) == ("ok", 1, 1)
    assert body["model"]["weights_sha256"] == "ab" * 32
    assert body["model"]["schema_version"] == 1
    paths = client.get("/openapi.json").json()["paths"]
    assert {"413", "415", "422", "503"} <= set(paths["/extract"]["post"]["responses"])
    assert client.get("/docs").status_code == 200
    assert list(json_schema()["properties"]) == [*FIELDS, "confidence"]


def test_a_failing_batch_does_not_end_the_service(client: TestClient) -> None:
    assert send(client, photo("red"), title="break").status_code == 500
    assert send(client, photo("red")).status_code == 200


def test_requests_of_one_moment_are_read_together_and_each_gets_its_own_answer() -> None:
    reader = ByColour(delay=0.05)

    async def everyone() -> list[Reading]:
        async with Batcher(reader, BatchPolicy(largest=8, wait_ms=20)) as batcher:
            jobs = [(list(SHADES)[n % 3], f"title {n}") for n in range(40)]
            tasks = [batcher.submit(Image.new("RGB", (4, 4), SHADES[colour]), title) for colour, title in jobs]
            return await asyncio.gather(*tasks)

    answers = asyncio.run(everyone())
    assert [a.prediction.item_id for a in answers] == [f"title {n}" for n in range(40)]
    assert [a.attributes["color"] for a in answers] == [list(SHADES)[n % 3] for n in range(40)]
    assert reader.sizes == [8] * 5


def test_a_lone_request_waits_no_longer_than_it_must() -> None:
    async def alone() -> float:
        async with Batcher(ByColour(), BatchPolicy(largest=64, wait_ms=30)) as batcher:
            started = time.perf_counter()
            await batcher.submit(Image.new("RGB", (4, 4)), "")
            return time.perf_counter() - started

    assert 0.02 < asyncio.run(alone()) < 2.0


def test_a_full_line_refuses_and_stopping_answers_those_who_wait() -> None:
    async def crowd() -> tuple[list[object], list[int]]:
        reader = ByColour(delay=0.05)
        batcher = Batcher(reader, BatchPolicy(largest=2, wait_ms=1, waiting=6))
        async with batcher:
            tasks = [asyncio.create_task(batcher.submit(Image.new("RGB", (4, 4)), str(n))) for n in range(10)]
            await asyncio.sleep(0)
        return await asyncio.gather(*tasks, return_exceptions=True), reader.sizes

    answers, sizes = asyncio.run(crowd())
    refused = [answer for answer in answers if isinstance(answer, QueueFullError)]
    assert len(refused) == 4
    assert sum(sizes) == 6


def test_whoever_hangs_up_takes_no_place() -> None:
    async def one_leaves() -> list[int]:
        reader = ByColour(delay=0.05)
        async with Batcher(reader, BatchPolicy(largest=4, wait_ms=50)) as batcher:
            first = asyncio.create_task(batcher.submit(Image.new("RGB", (4, 4)), "stays"))
            second = asyncio.create_task(batcher.submit(Image.new("RGB", (4, 4)), "leaves"))
            await asyncio.sleep(0.01)
            second.cancel()
            await first
        return reader.sizes

    assert asyncio.run(one_leaves()) == [1]


def test_over_loopback_and_a_graceful_stop() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    reader = ByColour(delay=1.0)
    config = uvicorn.Config(create_app(reader, INFO), host="127.0.0.1", port=port, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    answers: list[int] = []

    def ask(colour: str) -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            body = send(client, photo(colour)).json()
            answers.append(body["attributes"]["color"] == colour)

    try:
        while not server.started:
            time.sleep(0.02)
        askers = [threading.Thread(target=ask, args=(colour,)) for colour in [*SHADES, *SHADES]]
        for asker in askers:
            asker.start()
        deadline = time.monotonic() + 10
        while len(server.server_state.tasks) < 6 and not answers and time.monotonic() < deadline:
            time.sleep(0.01)  # once all have arrived, the stop must let them finish
    finally:
        server.should_exit = True
        thread.join(20)
    for asker in askers:
        asker.join(20)
    assert not thread.is_alive()
    assert answers == [True] * 6
    assert sum(reader.sizes) == 6
    assert max(reader.sizes) > 1
