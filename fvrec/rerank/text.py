"""Text similarity between a request and titles: TF-IDF over words and over characters, for English and Chinese."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer


class TextIndex:
    """Titles as TF-IDF vectors; fitted once, asked often.

    Words carry exact terms; character 2- and 3-grams carry Chinese, which has no spaces, and inflected forms.
    """

    def __init__(self, titles: Sequence[str]) -> None:
        self._size = len(titles)
        self._parts = []
        for settings in ({"analyzer": "word", "token_pattern": r"\w+"}, {"analyzer": "char_wb", "ngram_range": (2, 3)}):
            vectorizer = TfidfVectorizer(sublinear_tf=True, dtype=np.float32, **settings)
            try:
                self._parts.append((vectorizer, vectorizer.fit_transform(titles)))
            except ValueError:  # scikit-learn's "empty vocabulary": no title has a letter
                continue

    def similarity(self, query: str) -> NDArray[np.float64]:
        """``[N]`` in [0, 1]: mean of the two cosines, 0 where nothing is shared."""
        total = np.zeros(self._size)
        for vectorizer, matrix in self._parts:
            total += (matrix @ vectorizer.transform([query]).T).toarray().ravel()
        return np.clip(total / max(len(self._parts), 1), 0.0, 1.0)
