"""The service over a true engine: many requests at once get what the engine says of each alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from app.api import create_app
from app.batching import BatchPolicy
from app.reader import model_info, reader
from fvrec.config import LanguageModelSize
from fvrec.schema import VALUES
from fvrec.vlm.calibrate import Calibration, FieldCalibration, weights_digest
from fvrec.vlm.extract import Extractor
from fvrec.vlm.model import new_model
from fvrec.vlm.tokenizer import IMAGE_TOKEN, save_tokenizer, token_id, train_tokenizer
from fvrec.vlm.towers import load_tower

SIZE = LanguageModelSize(layers=1, hidden=32, heads=2, kv_heads=1, intermediate=64, bpe_vocabulary=300)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base of random weights beside its tokenizer, and a calibration of them, as a run leaves them."""
    outputs = tmp_path_factory.mktemp("run") / "outputs"
    tokenizer = train_tokenizer(["red dress", "blue shirt"], vocabulary=300)
    save_tokenizer(tokenizer, outputs / "models" / "tokenizer")
    image_id = token_id(tokenizer, IMAGE_TOKEN)
    model = new_model(SIZE, load_tower("lite0"), vocabulary=len(tokenizer), image_token_id=image_id, seed=1)
    folder = outputs / "models" / "base"
    model.save_pretrained(str(folder))
    fields = {"color": FieldCalibration(temperature=0.1, threshold=0.99)}
    Calibration(weights_digest(folder), {"image": fields}).save(outputs / "calibration" / "base.json")
    return folder


def test_each_request_gets_its_own_answer_of_the_batch(base: Path) -> None:
    extractor = Extractor.load(base)
    shades = [(20 * n % 250, 70 * n % 250, 140 * n % 250) for n in range(12)]
    files = []
    for shade in shades:
        file = BytesIO()
        Image.new("RGB", (64, 64), shade).save(file, "PNG")
        files.append(file.getvalue())
    titles = [f"thing {n}" if n % 2 else "" for n in range(12)]
    alone = [extractor.extract([data], [title])[0] for data, title in zip(files, titles, strict=True)]
    service = create_app(reader(extractor), model_info(extractor, base), policy=BatchPolicy(largest=6, wait_ms=100))
    with TestClient(service) as client, ThreadPoolExecutor(12) as people:
        answers = list(
            people.map(
                lambda one: client.post("/extract", files={"image": ("a.png", one[0])}, data={"title": one[1]}).json(),
                zip(files, titles, strict=True),
            )
        )
        health = client.get("/health").json()
    assert [answer["attributes"] for answer in answers] == [dict(one.attributes) for one in alone]
    for answer, one in zip(answers, alone, strict=True):
        assert answer["confidence"]["color"] == pytest.approx(one.confidence["color"], abs=1e-3)
    assert health["requests"] == 12
    assert health["largest_batch"] > 1
    assert health["model"]["calibrated"] == ["image"]


def test_a_model_folder_brings_its_calibration(base: Path) -> None:
    extractor = Extractor.load(base)
    photo = Image.new("RGB", (32, 32), "red")
    (scaled,) = extractor.extract([photo])
    (titled,) = extractor.extract([photo], ["red thing"])
    assert scaled.scores is not None
    assert titled.scores is not None
    chosen = scaled.scores.greedy["color"]
    assert VALUES["color"][chosen] == scaled.attributes["color"]
    expected = FieldCalibration(temperature=0.1).apply("color", scaled.scores.log_probs["color"], chosen)
    assert scaled.confidence["color"] == pytest.approx(expected.confidence)
    # Fitted for photos alone: with a title the probability stays as it is.
    plain = FieldCalibration().apply("color", titled.scores.log_probs["color"], titled.scores.greedy["color"])
    assert titled.confidence["color"] == pytest.approx(plain.confidence)
