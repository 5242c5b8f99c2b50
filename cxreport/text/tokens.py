"""Text to word ids, as the networks read it. Training and inference share this module."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from cxreport.errors import UsageError
from cxreport.text.vocabulary import PAD, SPECIAL_WORDS, UNK

__all__ = ["has_known_word", "text_ids", "tokenise"]

LONGEST = 128
_TOKEN = re.compile(r"\d+(?:\.\d+)?%?|[a-z]+(?:[-'/][a-z]+)*|,")
_SUGGESTIONS = 5
_SHORT = 5  # letters: "the", "and", "lobe", "right" suggest nothing


def tokenise(sentence: str) -> list[str]:
    """Lower-case words, numbers and commas."""
    return _TOKEN.findall(sentence.lower())


def has_known_word(vocabulary: Sequence[str], text: str, longest: int = LONGEST) -> bool:
    """Whether the text encoder would read a word of a text that it knows; a comma is none."""
    return not set(vocabulary[len(SPECIAL_WORDS) :]).isdisjoint(_words(tokenise(text)[:longest]))


def text_ids(vocabulary: Sequence[str], texts: Sequence[str], longest: int = LONGEST) -> NDArray[np.int64]:
    """Turn texts into word ids.

    Args:
        vocabulary: of the bundle; unknown words of a text become `manifest.UNK`.
        texts: whole reports or queries, in English.
        longest: words of a text that are read.

    Returns:
        (N, T) ids, filled up with `manifest.PAD`; T is the length of the longest text, at least 1.

    Raises:
        UsageError: no word of a text is known; the hint names known ones that look alike.
    """
    index = {word: i for i, word in enumerate(vocabulary) if i >= len(SPECIAL_WORDS)}
    rows = [tokenise(text)[:longest] for text in texts]
    for words in rows:
        if index.keys().isdisjoint(_words(words)):
            raise UsageError("No word of the text is known to the bundle.", hint=_suggestion(words, index))
    ids = np.full((len(rows), max(map(len, rows), default=1)), PAD, np.int64)
    for row, words in zip(ids, rows, strict=True):
        row[: len(words)] = [index.get(word, UNK) for word in words]
    return ids


def _words(tokens: Iterable[str]) -> list[str]:
    """Leave out the commas."""
    return [token for token in tokens if token != ","]


def _suggestion(words: Sequence[str], known: Iterable[str]) -> str:
    """Name known words that look like the unknown ones, or the most frequent that mean something."""
    known = _words(known)
    alike = [match for word in _words(words) for match in difflib.get_close_matches(word, known)]
    if alike:
        return f"Known words that look alike: {', '.join(list(dict.fromkeys(alike))[:_SUGGESTIONS])}."
    usual = [word for word in known if len(word) > _SHORT][:_SUGGESTIONS]
    return f"Describe it in English, with words such as: {', '.join(usual)}."


def unknown_words(vocabulary: Sequence[str], text: str) -> list[str]:
    """Words of a text, marks aside, that the vocabulary lacks, each once."""
    known = set(vocabulary)
    return [word for word in dict.fromkeys(tokenise(text)) if word not in known and word != ","]
