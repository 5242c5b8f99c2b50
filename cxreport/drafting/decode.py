"""Decode: plans to sentences, as word ids.

The sentence LSTM is unrolled for all studies of the batch, each leaving it when its report ends; then all sentences of
all studies are rows of one word LSTM batch. Both carry their state: no step reads again what an earlier one has read.
The ids of a study do not depend on the batch that it travels in (see `cxreport.model.session`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cxreport.drafting.beam import search
from cxreport.drafting.captions import write_captions
from cxreport.drafting.ground import ground
from cxreport.drafting.topics import Topic, make_topics
from cxreport.drafting.word_scores import TopicScorer
from cxreport.errors import UsageError
from cxreport.model.manifest import WORD_SEARCH, Manifest
from cxreport.model.texts import TextLimits, WrittenText
from cxreport.stopwatch import Stopwatch
from cxreport.types import Decoding, Encoding, Plan, Section, SentenceIds

if TYPE_CHECKING:
    from cxreport.model.session import Model


@dataclass(frozen=True)
class DecodeOptions:
    """Options of decoding; None stands for the bundle's own length."""

    beam: int = 1
    """Width of the beam; 1 is greedy."""
    max_sentences: int | None = None
    """Sentences of a section after which no free topic is added; planned topics always get theirs."""
    min_words: int | None = None
    """Words of a sentence, or of a whole report where the architecture writes it as one sequence."""
    max_words: int | None = None
    """Words of the same."""
    attention: bool = False
    """Give each sentence and each word its map over the patches, where there is an image (see `ground`)."""

    def __post_init__(self) -> None:
        lengths = [n for n in (self.max_sentences, self.min_words, self.max_words) if n is not None]
        if min([self.beam, *lengths]) < 1:
            raise UsageError("The beam width and all lengths must be at least 1.")


def decode(
    model: Model,
    encodings: Sequence[Encoding],
    plans: Sequence[Plan],
    options: DecodeOptions | None = None,
    watch: Stopwatch | None = None,
) -> list[Decoding]:
    """Write the reports of a batch of studies.

    Args:
        model: a loaded bundle.
        encodings: of the studies, with images or without.
        plans: of the same studies.
        options: beam and lengths.
        watch: times ``sentences`` (their topics), ``words`` and, with attention, ``ground``.
    """
    options, watch = options or DecodeOptions(), watch or Stopwatch()
    defaults = model.manifest.decoding
    min_words, max_words = options.min_words or defaults.min_words, options.max_words or defaults.max_words
    limits = TextLimits(options.beam, min_words, max_words, once=model.manifest.long_words)
    if model.manifest.captioning:
        with watch.stage("words"):
            decodings = write_captions(model, encodings, limits)
    else:
        with watch.stage("sentences"):
            topics = make_topics(model, encodings, plans, options.max_sentences or defaults.max_sentences)
        with watch.stage("words"):
            decodings = _write_topics(model, topics, len(encodings), limits)
    if options.attention:
        with watch.stage("ground"):
            decodings = ground(model, encodings, decodings)
    return decodings


def _write_topics(model: Model, topics: list[Topic], studies: int, limits: TextLimits) -> list[Decoding]:
    """Write the words of all topics, rows of one batch."""
    if not topics:
        return []
    vectors, banned = np.stack([topic.vector for topic in topics]), _banned(model.manifest, topics)
    if limits.beam == 1 and WORD_SEARCH in model.bound_steps:
        from cxreport.model.gpu.word_search import write_greedily

        sentences = write_greedily(model, vectors, banned, limits)
    else:
        sentences = search(TopicScorer(model, vectors), model.manifest.sizes.hidden, banned, limits)
    return [_decoding(study, topics, sentences) for study in range(studies)]


def _banned(manifest: Manifest, topics: list[Topic]) -> NDArray[np.bool_]:
    """(N, V) words that give details which their sentence was not planned with."""
    unplanned = np.stack([topic.details == 0 for topic in topics])
    banned: NDArray[np.bool_] = unplanned @ manifest.detail_words & manifest.decoding.planned
    return banned


def _decoding(study: int, topics: list[Topic], sentences: list[WrittenText]) -> Decoding:
    """Sentences of a study, without empty ones and those that a section has already."""
    decoded: dict[tuple[Section, tuple[int, ...]], SentenceIds] = {}
    for topic, words in zip(topics, sentences, strict=True):
        if topic.study == study and words.ids:
            sentence = SentenceIds(
                section=topic.section,
                ids=words.ids,
                planned=topic.tag,
                denied=topic.denied,
                attention=topic.attention,
                log_probability=words.log_probability,
            )
            decoded.setdefault((topic.section, words.ids), sentence)
    return Decoding(tuple(decoded.values()))
