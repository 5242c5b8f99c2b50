"""Maps of a report: which patches of the image each sentence and each word of its text looked at."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher

import numpy as np

from cxreport.drafting.grid import square
from cxreport.drafting.plan_check import Line
from cxreport.model.manifest import Manifest
from cxreport.types import Decoding, Floats, Section, SentenceIds, SentenceMap, WordMap

_TOKEN = re.compile(r"[a-z0-9]+|[^\sa-z0-9]")
_SAME = {"are": "is", "an": "a"}
"""What agreement changes."""


def sentence_maps(
    manifest: Manifest, decoding: Decoding, sections: Mapping[Section, Sequence[Line]]
) -> tuple[SentenceMap, ...] | None:
    """Give each sentence of a report and each of its words its map.

    A plain sentence has the map of the topic that was planned for its tag, in its own section or else in the other;
    where there is none it has a uniform one.

    Args:
        manifest: of the bundle.
        decoding: all that was decoded, with the attention over the patches of a square grid.
        sections: the sentences that are shown.

    Returns:
        Maps in the order of the sections; None where nothing was decoded with attention.
    """
    sizes = [sentence.attention.size for sentence in decoding.sentences if sentence.attention is not None]
    if not sizes:
        return None
    uniform = np.full(sizes[0], 1 / sizes[0], np.float32)
    return tuple(
        _sentence_map(manifest, section, line, _origin(manifest, decoding, section, line), uniform)
        for section, lines in sections.items()
        for line in lines
    )


def _origin(manifest: Manifest, decoding: Decoding, section: Section, line: Line) -> SentenceIds | None:
    """What a sentence was written from, or, for a plain one, the topic that was planned to tell its tag."""
    if line.origin is not None:
        return line.origin
    tag = manifest.reporting_names.index(line.tag)
    topics = [sentence for sentence in decoding.sentences if sentence.planned == tag]
    return min(topics, key=lambda topic: topic.section is not section, default=None)


def _sentence_map(
    manifest: Manifest, section: Section, line: Line, origin: SentenceIds | None, uniform: Floats
) -> SentenceMap:
    whole = uniform if origin is None or origin.attention is None else origin.attention
    words = line.text.split()
    maps = [whole] * len(words)
    if line.origin is not None and line.origin.word_attention is not None:
        each = line.origin.word_attention
        places = word_places([manifest.vocabulary[i] for i in line.origin.ids], words)
        maps = [each[list(place)].mean(0) if place else whole for place in places]
    seen = None if line.origin is None else line.origin.decoder_attention
    return SentenceMap(
        section,
        line.text,
        square(whole),
        tuple(WordMap(word, square(weights)) for word, weights in zip(words, maps, strict=True)),
        None if seen is None else square(seen),
        added=line.origin is None,
    )


def word_places(decoded: Sequence[str], shown: Sequence[str]) -> list[tuple[int, ...]]:
    """Find for each shown word the decoded words that it was written from.

    Writing changes spacing, capitals, agreement and articles, so both sides are compared in pieces: letters and digits
    that stand together, and single marks. Marks count only in words that have nothing else.

    Args:
        decoded: words of the vocabulary.
        shown: the written sentence, split at its spaces.

    Returns:
        Indices into ``decoded``: none for a word without a counterpart, several for one such as "1.5" or "and/or".
    """
    left, right = _pieces(decoded), _pieces(shown)
    places: list[dict[int, str]] = [{} for _ in shown]
    matcher = SequenceMatcher(None, [text for text, _ in left], [text for text, _ in right], autojunk=False)
    for kind, start, end, start_shown, end_shown in matcher.get_opcodes():
        if kind in ("equal", "replace"):
            for (text, place), (_, word) in zip(left[start:end], right[start_shown:end_shown], strict=False):
                places[word][place] = text
    return [tuple(p for p, text in place.items() if text[0].isalnum()) or tuple(place) for place in places]


def _pieces(words: Sequence[str]) -> list[tuple[str, int]]:
    """Pieces of words, each with the index of its word."""
    found = [(piece, i) for i, word in enumerate(words) for piece in _TOKEN.findall(word.lower())]
    return [(_SAME.get(piece, piece), i) for piece, i in found]
