"""Tokeniser: text to words, and to word ids of a vocabulary; training and inference share it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from cxreport.errors import UsageError
from cxreport.text.vocabulary import PAD, SPECIAL_WORDS, UNK

__all__ = ["has_known_word", "text_ids", "tokenise"]

MAX_WORDS = 128
"""Words of a text that the text encoder reads."""
_TOKEN = re.compile(r"\d+(?:\.\d+)?%?|[a-z]+(?:[-'/][a-z]+)*|,")
_SUGGESTIONS = 5
_SHORT_WORD = 5
"""Letters: "the", "and", "lobe", "right" are no suggestions."""


def tokenise(sentence: str) -> list[str]:
    """Lower-case words, numbers and commas."""
    return _TOKEN.findall(sentence.lower())


def has_known_word(vocabulary: Sequence[str], text: str, max_words: int = MAX_WORDS) -> bool:
    """True if the vocabulary has one of the words of a text that the text encoder reads; a comma is none."""
    return not set(vocabulary[len(SPECIAL_WORDS) :]).isdisjoint(_words(tokenise(text)[:max_words]))


def text_ids(vocabulary: Sequence[str], texts: Sequence[str], max_words: int = MAX_WORDS) -> NDArray[np.int64]:
    """Turn texts into word ids.

    Args:
        vocabulary: of the bundle; unknown words of a text become `vocabulary.UNK`.
        texts: whole reports or queries, in English.
        max_words: words of a text that are read.

    Returns:
        (N, T) ids, filled up with `vocabulary.PAD`; T is the length of the longest text, at least 1.

    Raises:
        UsageError: no word of a text is known; the hint names known ones that look alike.
    """
    index = {word: i for i, word in enumerate(vocabulary) if i >= len(SPECIAL_WORDS)}
    rows = [tokenise(text)[:max_words] for text in texts]
    for words in rows:
        if index.keys().isdisjoint(_words(words)):
            raise UsageError("No word of the text is known to the bundle.", hint=_suggestion(words, index))
    ids = np.full((len(rows), max(map(len, rows), default=1)), PAD, np.int64)
    for row, words in zip(ids, rows, strict=True):
        row[: len(words)] = [index.get(word, UNK) for word in words]
    return ids


def _words(tokens: Iterable[str]) -> list[str]:
    """Tokens without the commas."""
    return [token for token in tokens if token != ","]


def _suggestion(words: Sequence[str], vocabulary: Iterable[str]) -> str:
    """Hint with words of the vocabulary that look like unknown ones, or with its most frequent long ones."""
    vocabulary = _words(vocabulary)
    matches = [match for word in _words(words) for match in difflib.get_close_matches(word, vocabulary)]
    if matches:
        return f"Known words that look alike: {', '.join(list(dict.fromkeys(matches))[:_SUGGESTIONS])}."
    frequent = [word for word in vocabulary if len(word) > _SHORT_WORD][:_SUGGESTIONS]
    return f"Describe it in English, with words such as: {', '.join(frequent)}."


def unknown_words(vocabulary: Sequence[str], text: str) -> list[str]:
    """Words of a text, marks aside, that the vocabulary lacks, each once."""
    words = set(vocabulary)
    return [word for word in dict.fromkeys(tokenise(text)) if word not in words and word != ","]
