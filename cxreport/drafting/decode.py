"""Decode: plans to sentences, as word ids.

The sentence LSTM is unrolled for all studies of the batch, each leaving it when its report ends; then all sentences of
all studies are rows of one word LSTM batch. Both carry their state: no step reads again what an earlier one has read.
Where the bundle is exact, a sentence that does not say what is planned is searched for again, with a wider beam.
The ids of a study do not depend on the batch that it travels in (see `cxreport.model.session`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cxreport.drafting.beam import hypotheses, search
from cxreport.drafting.captions import write_captions
from cxreport.drafting.content import says
from cxreport.drafting.ground import ground
from cxreport.drafting.topics import Topic, make_topics
from cxreport.drafting.word_scores import TopicScorer
from cxreport.errors import UsageError
from cxreport.model.manifest import WORD_SEARCH, Manifest
from cxreport.model.texts import TextLimits, WrittenText
from cxreport.stopwatch import Stopwatch
from cxreport.text.detokenise import sentence_text
from cxreport.types import Decoding, Encoding, Plan, Section, SentenceIds

if TYPE_CHECKING:
    from cxreport.model.session import Model

_WIDER = 12
"""Width of the second search."""


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
    second_search: bool = True
    """Search again, wider, for the words of a sentence that does not say what is planned, where the bundle is exact."""

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
            texts = _write_topics(model, topics, limits)
            if options.second_search and defaults.exact:
                texts = _search_again(model, topics, texts, limits)
        decodings = [_decoding(study, topics, texts) for study in range(len(encodings))]
    if options.attention:
        with watch.stage("ground"):
            decodings = ground(model, encodings, decodings)
    return decodings


def _write_topics(model: Model, topics: list[Topic], limits: TextLimits) -> list[WrittenText]:
    """Write the words of all topics, rows of one batch."""
    if not topics:
        return []
    vectors, banned = np.stack([topic.vector for topic in topics]), _banned(model.manifest, topics)
    if limits.beam == 1 and WORD_SEARCH in model.bound_steps:
        from cxreport.model.gpu.word_search import write_greedily

        return write_greedily(model, vectors, banned, limits)
    return search(TopicScorer(model, vectors), model.manifest.sizes.hidden, banned, limits)


def _search_again(model: Model, topics: list[Topic], texts: list[WrittenText], limits: TextLimits) -> list[WrittenText]:
    """Texts of the topics, those that do not say what is planned by the best hypothesis of a wider search that does.

    A text stays as it is where no hypothesis does; the report stage then makes it keep to the plan.
    """
    manifest = model.manifest

    def keeps_to_plan(topic: Topic, text: WrittenText) -> bool:
        words = sentence_text(manifest.vocabulary, text.ids)
        return topic.planned is None or says(manifest.lexicon, words, topic.planned, manifest.reporting_names)

    failed = [
        row for row, (topic, text) in enumerate(zip(topics, texts, strict=True)) if not keeps_to_plan(topic, text)
    ]
    if not failed:
        return texts
    again = [topics[row] for row in failed]
    scorer = TopicScorer(model, np.stack([topic.vector for topic in again]))
    wider = replace(limits, beam=max(_WIDER, limits.beam))
    found = hypotheses(scorer, manifest.sizes.hidden, _banned(manifest, again), wider)
    chosen = list(texts)
    for row, topic, candidates in zip(failed, again, found, strict=True):
        chosen[row] = next((text for text in candidates if keeps_to_plan(topic, text)), texts[row])
    return chosen


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
                planned=None if topic.planned is None else topic.planned.tag,
                topic=topic.planned,
                attention=topic.attention,
                log_probability=words.log_probability,
            )
            decoded.setdefault((topic.section, words.ids), sentence)
    return Decoding(tuple(decoded.values()))
