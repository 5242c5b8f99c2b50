"""Maps of a report over the patches of the image: one for each sentence and each word of its text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher

import numpy as np

from cxreport.drafting.grid import square
from cxreport.drafting.plan_check import WrittenSentence
from cxreport.model.manifest import Manifest
from cxreport.sentences import SentenceMap, WordMap
from cxreport.types import Decoding, Floats, Section, SentenceIds

_TOKEN = re.compile(r"[a-z0-9]+|[^\sa-z0-9]")
_AGREEMENT = {"are": "is", "an": "a"}
"""Words that `detokenise` changes, in their form for comparison."""


def sentence_maps(
    manifest: Manifest, decoding: Decoding, sections: Mapping[Section, Sequence[WrittenSentence]]
) -> tuple[SentenceMap, ...] | None:
    """Give each sentence of a report and each of its words its map.

    A plain sentence has the map of the topic that was planned for its tag, in its own section or else in the other;
    where there is none it has a uniform one.

    Args:
        manifest: of the bundle.
        decoding: all decoded sentences, with the attention over the patches of a square grid.
        sections: the sentences of the report.

    Returns:
        Maps in the order of the sections; None where nothing was decoded with attention.
    """
    sizes = [sentence.attention.size for sentence in decoding.sentences if sentence.attention is not None]
    if not sizes:
        return None
    uniform = np.full(sizes[0], 1 / sizes[0], np.float32)
    maps = []
    for section, sentences in sections.items():
        for sentence in sentences:
            topic = sentence.origin or _planned_topic(manifest, decoding, section, sentence.tag)
            weights = uniform if topic is None or topic.attention is None else topic.attention
            maps.append(_sentence_map(manifest, sentence, weights))
    return tuple(maps)


def _planned_topic(manifest: Manifest, decoding: Decoding, section: Section, tag: str) -> SentenceIds | None:
    """The topic that was planned to state a tag, in the section if there is one."""
    if not tag:
        return None
    index = manifest.reporting_names.index(tag)
    topics = [sentence for sentence in decoding.sentences if sentence.planned == index]
    return min(topics, key=lambda topic: topic.section is not section, default=None)


def _sentence_map(manifest: Manifest, sentence: WrittenSentence, weights: Floats) -> SentenceMap:
    """(P,) map of a sentence -> that on the grid, with the maps of its words."""
    words, origin = sentence.text.split(), sentence.origin
    word_weights = [weights] * len(words)
    attention = None if origin is None else origin.decoder_attention
    if origin is not None and origin.word_attention is not None:
        sources = word_sources([manifest.vocabulary[i] for i in origin.ids], words)
        word_weights = [origin.word_attention[list(s)].mean(0) if s else weights for s in sources]
    return SentenceMap(
        weights=square(weights),
        words=tuple(WordMap(word, square(w)) for word, w in zip(words, word_weights, strict=True)),
        decoder_attention=None if attention is None else square(attention),
    )


def word_sources(decoded: Sequence[str], words: Sequence[str]) -> list[tuple[int, ...]]:
    """Find for each word of a text the decoded words that it was written from.

    Writing changes spacing, capitals, agreement and articles, so both sides are compared in tokens: letters and digits
    that stand together, and single marks. Marks count only in words that have nothing else.

    Args:
        decoded: words of the vocabulary.
        words: the written sentence, split at its spaces.

    Returns:
        Indices into ``decoded``: none for a word without a counterpart, several for one such as "1.5" or "and/or".
    """
    source_tokens, tokens = _tokens(decoded), _tokens(words)
    sources: list[dict[int, str]] = [{} for _ in words]
    matcher = SequenceMatcher(None, [text for text, _ in source_tokens], [text for text, _ in tokens], autojunk=False)
    for operation, start, end, word_start, word_end in matcher.get_opcodes():
        if operation in ("equal", "replace"):
            for (text, source), (_, word) in zip(source_tokens[start:end], tokens[word_start:word_end], strict=False):
                sources[word][source] = text
    return [tuple(i for i, text in texts.items() if text[0].isalnum()) or tuple(texts) for texts in sources]


def _tokens(words: Sequence[str]) -> list[tuple[str, int]]:
    """Tokens of words, each with the index of its word."""
    tokens = [(token, i) for i, word in enumerate(words) for token in _TOKEN.findall(word.lower())]
    return [(_AGREEMENT.get(token, token), i) for token, i in tokens]
