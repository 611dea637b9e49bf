"""What the VLM is held against on the same split: an MLP on its own frozen features, and the title's words alone.

Both answer with ``Prediction`` rows, so that one scorer judges all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from torch import Tensor, nn
from torch.nn import functional

from fvrec.records import Inputs, Item, Prediction
from fvrec.schema import FIELDS, UNKNOWN, VALUES
from fvrec.vlm.towers import accelerator

PROBE, TITLE_WORDS = "mlp_probe", "tfidf_title"
_HIDDEN, _DROPOUT, _BATCH, _EPOCHS, _PATIENCE = 512, 0.4, 256, 60, 8

FeatureRows = Callable[[Sequence[Item]], NDArray[np.float32]]
"""Items -> ``[N, D]``."""
Answers = Mapping[str, Sequence[str]]
"""field -> the value read of each item."""


def probe(
    train: Sequence[Item],
    val: Sequence[Item],
    test: Sequence[Item],
    fields: Sequence[str],
    features: FeatureRows,
    seed: int,
) -> list[Prediction]:
    """One MLP a field on the items' pooled features, stopped by its accuracy on val; its answers to ``test``."""
    vectors = {id(part): features(part) for part in (train, val, test)}
    mean, spread = vectors[id(train)].mean(axis=0), vectors[id(train)].std(axis=0) + 1e-3
    scaled = {key: torch.from_numpy((rows - mean) / spread).float() for key, rows in vectors.items()}
    answers = {}
    for field in fields:
        known, held = _known(train, field), _known(val, field)
        network = _fit(
            scaled[id(train)][known], _codes([train[i] for i in known], field),
            scaled[id(val)][held], _codes([val[i] for i in held], field), len(VALUES[field]), seed,
        )  # fmt: skip
        with torch.inference_mode():
            best = network(scaled[id(test)].to(accelerator())).argmax(dim=1).tolist()
        answers[field] = [VALUES[field][index] for index in best]
    return _predictions(PROBE, "image", test, answers)


def title_words(train: Sequence[Item], test: Sequence[Item], fields: Sequence[str], seed: int) -> list[Prediction]:
    """TF-IDF over the title's words and pairs of words, one logistic regression a field; its answers to ``test``."""
    answers = {}
    for field in fields:
        known = _known(train, field)
        model = make_pipeline(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2),
            LogisticRegression(C=30.0, max_iter=400, random_state=seed),
        )
        model.fit([train[i].title for i in known], [train[i].values[field] for i in known])
        answers[field] = model.predict([item.title for item in test]).tolist()
    return _predictions(TITLE_WORDS, "title", test, answers)


def pooled_vectors(features: NDArray[np.float16], cells: int, streams: Sequence[int]) -> NDArray[np.float32]:
    """``[B, T, D]`` -> ``[B, 2*streams[0] + ...]``: mean and maximum over the cells, and what stands behind them."""
    grid = features[:, :cells].astype(np.float32)
    behind = features[:, cells:, streams[0] :].astype(np.float32).reshape(len(features), -1)
    return np.concatenate([grid.mean(axis=1), grid[:, :, : streams[0]].max(axis=1), behind], axis=1)


def _fit(x: Tensor, y: Tensor, val_x: Tensor, val_y: Tensor, values: int, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    device = accelerator()
    x, y, val_x, val_y = (part.to(device) for part in (x, y, val_x, val_y))
    network = nn.Sequential(
        nn.Linear(x.shape[1], _HIDDEN), nn.GELU(), nn.Dropout(_DROPOUT), nn.Linear(_HIDDEN, values)
    ).to(device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1e-2)
    best, kept, waited = -1.0, network.state_dict(), 0
    for _ in range(_EPOCHS):
        network.train()
        for rows in torch.randperm(len(x)).split(_BATCH):
            optimiser.zero_grad()
            functional.cross_entropy(network(x[rows]), y[rows], label_smoothing=0.05).backward()
            optimiser.step()
        network.eval()
        with torch.inference_mode():
            accuracy = float((network(val_x).argmax(dim=1) == val_y).float().mean())
        if accuracy > best:
            best, waited = accuracy, 0
            kept = {name: value.clone() for name, value in network.state_dict().items()}
        elif (waited := waited + 1) >= _PATIENCE:
            break
    network.load_state_dict(kept)
    return network


def _known(items: Sequence[Item], field: str) -> list[int]:
    return [index for index, item in enumerate(items) if item.values[field] != UNKNOWN]


def _codes(items: Sequence[Item], field: str) -> Tensor:
    return torch.tensor([VALUES[field].index(item.values[field]) for item in items])


def _predictions(model: str, inputs: Inputs, items: Sequence[Item], answers: Answers) -> list[Prediction]:
    return [
        Prediction(
            item_id=item.item_id,
            model=model,
            inputs=inputs,
            mode="constrained",
            raw_output="",
            json_valid=True,
            schema_valid=True,
            attributes={**dict.fromkeys(FIELDS, UNKNOWN), **{field: read[index] for field, read in answers.items()}},
            confidence=dict.fromkeys(FIELDS, 0.0),
        )
        for index, item in enumerate(items)
    ]
