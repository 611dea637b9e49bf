"""Text similarity between a request and titles: BM25 over English words and Chinese character pairs."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence

import bm25s
import numpy as np
from numpy.typing import NDArray

# It sets itself to DEBUG, and every index would announce itself in the log of a run.
logging.getLogger("bm25s").setLevel(logging.WARNING)

_PIECE = re.compile(r"[a-zà-ÿ0-9]+|[\u3400-\u9fff]+")


class TextIndex:
    """Texts under BM25 (Robertson & Zaragoza, 2009; Lucene's variant); indexed once, asked often.

    English words lose their plural ending. Chinese has no spaces: its pairs of neighbouring characters stand for words,
    the plain way that comes close to a segmenter for retrieval (Nie et al., 2000).
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._size = len(texts)
        self._ids: dict[str, int] = {}
        rows = [[self._ids.setdefault(token, len(self._ids)) for token in tokens_of(text)] for text in texts]
        self._index: bm25s.BM25 | None = None
        if self._ids:
            self._index = bm25s.BM25(method="lucene")
            self._index.index((rows, self._ids), create_empty_token=False, show_progress=False)
            self._most = _largest_by_term(self._index.scores, len(self._ids))

    def similarity(self, query: str) -> NDArray[np.float64]:
        """``[N]`` in [0, 1]: BM25 as a share of what a text with the best mention of every known word would earn.

        The share is comparable between requests, which plain BM25 is not. 0 where no word is shared.
        """
        asked = sorted({self._ids[token] for token in tokens_of(query) if token in self._ids})
        if self._index is None or not asked:
            return np.zeros(self._size)
        points = self._index.get_scores_from_ids(asked)
        return np.clip(points / self._most[asked].sum(), 0.0, 1.0).astype(np.float64)

    def knows(self, words: str) -> bool:
        """Whether any text holds one of these words."""
        return any(token in self._ids for token in tokens_of(words))


def tokens_of(text: str) -> Iterator[str]:
    """Words and character pairs in order; a Chinese character without a neighbour stands alone.

    >>> list(tokens_of("Blue dresses 连衣裙"))
    ['blue', 'dress', '连衣', '衣裙']
    """
    for piece in _PIECE.findall(text.lower()):
        if piece[0] < "\u3400":
            yield _singular(piece)
        elif len(piece) == 1:
            yield piece
        else:
            yield from (piece[at : at + 2] for at in range(len(piece) - 1))


def _singular(word: str) -> str:
    """The word without a plural ending (Harman's S stemmer, 1991, with "-sses", "-shes", "-ches", "-xes" added)."""
    if len(word) > 3 and word.endswith("ies") and not word.endswith(("eies", "aies")):
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes")):
        return word[:-2]
    if len(word) > 2 and word.endswith("s") and not word.endswith(("us", "ss")):
        return word[:-1]
    return word


def _largest_by_term(scores: dict[str, NDArray[np.float32]], terms: int) -> NDArray[np.float32]:
    """``[T]``: the most that each term gives any text. ``scores``: columns of a sparse matrix, none of them empty."""
    starts = np.asarray(scores["indptr"][:terms], dtype=np.int64)
    return np.asarray(np.maximum.reduceat(scores["data"], starts), dtype=np.float32)
