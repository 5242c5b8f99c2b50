"""Decode: plans to sentences, as word ids.

The sentence LSTM is unrolled for all studies of the batch, each leaving it when its report ends; then all sentences of
all studies are rows of one word LSTM batch. Both carry their state: no step reads again what an earlier one has read.
The ids of a study do not depend on the batch that it travels in (see `cxreport.model.session`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxreport.drafting import sentence_loop
from cxreport.drafting.beam import search
from cxreport.drafting.captions import write_captions
from cxreport.drafting.ground import ground
from cxreport.drafting.word_steps import TopicScorer
from cxreport.errors import UsageError
from cxreport.model.graphs import StudyInput, TopicInput
from cxreport.model.manifest import WORD_SEARCH, Manifest
from cxreport.model.word_limits import Limits, Words
from cxreport.reading.stopwatch import Stopwatch
from cxreport.types import Decoding, Detail, Encoding, Floats, Plan, Section, SentenceIds

if TYPE_CHECKING:
    from cxreport.model.session import Model

_LIKELY = 0.5


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


class _Planned(NamedTuple):
    """Planned content of a sentence."""

    tag: int
    """Index of the reporting tag."""
    denied: bool = False
    """True where the sentence denies the tag, False where it states it."""


@dataclass(frozen=True)
class _Topic:
    """Content of a sentence to be written."""

    study: int
    section: Section
    tag: int | None
    """Index of the reporting tag that it is planned to state; None for a denial or a free topic."""
    details: Floats
    """(D,) 1 for each `Detail` that it is planned with."""
    attention: Floats | None
    """(P,)"""
    vector: Floats
    """(H,) input of the word LSTM."""


class _Outline:
    """Progress of the report of one study.

    In each section the planned topics come first, the most probable tag before the others; while some remain, the
    networks' stop and section outputs are not asked.
    """

    def __init__(self, manifest: Manifest, study: int, plan: Plan, max_sentences: int) -> None:
        self.study, self.plan = study, plan
        self.section = Section.FINDINGS
        self.done = False
        statements = [_Planned(tag) for tag in plan.tags] if manifest.decoding.planned else []
        denials = [_Planned(tag, denied=True) for tag in plan.denied] if manifest.decoding.planned else []
        self._planned = deque(statements + denials)
        self._impression = deque(topic for topic in statements if manifest.reporting_tags[topic.tag].impression)
        self._max_sentences = max_sentences
        self._sentences = 0

    @property
    def planned(self) -> _Planned | None:
        """Planned content of the next sentence; None for a free topic."""
        return self._planned[0] if self._planned else None

    def advance(self, stop: float, section_next: float) -> None:
        """Go on to the next sentence, the next section or the end.

        Args:
            stop: probability that the report ends here.
            section_next: probability that the Impression follows.
        """
        self._sentences += 1
        if self._planned:
            self._planned.popleft()
        if self._planned:
            return
        full = self._sentences >= self._max_sentences
        if self.section is Section.IMPRESSION:
            self.done = full or stop > _LIKELY
        elif full or section_next > _LIKELY or stop > _LIKELY:
            self.section, self._planned, self._sentences = Section.IMPRESSION, self._impression, 0


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
    limits = Limits(options.beam, min_words, max_words, once=model.manifest.long_words)
    if model.manifest.captioning:
        with watch.stage("words"):
            decodings = write_captions(model, encodings, limits)
    else:
        with watch.stage("sentences"):
            topics = _topics(model, encodings, plans, options.max_sentences or defaults.max_sentences)
        with watch.stage("words"):
            decodings = _write_topics(model, topics, len(encodings), limits)
    if options.attention:
        with watch.stage("ground"):
            decodings = ground(model, encodings, decodings)
    return decodings


def _topics(model: Model, encodings: Sequence[Encoding], plans: Sequence[Plan], max_sentences: int) -> list[_Topic]:
    """Topics of all studies; those with an image and those without are separate batches."""
    topics: list[_Topic] = []
    for image in (True, False):
        group = [i for i, encoding in enumerate(encodings) if (encoding.patches is not None) is image]
        if group:
            outlines = [_Outline(model.manifest, i, plans[i], max_sentences) for i in group]
            topics += _unroll(model, outlines, [encodings[i] for i in group])
    return topics


def _unroll(model: Model, outlines: list[_Outline], encodings: list[Encoding]) -> list[_Topic]:
    """Run the sentence LSTM for studies that all have images, or all have none, until the last report ends."""
    topics: list[_Topic] = []
    attends = encodings[0].patches is not None
    loop = sentence_loop.start(model, _study_input(model.manifest, outlines, encodings))
    while outlines:
        planned = [outline.planned for outline in outlines]
        inputs = _topic_input(planned, [o.plan for o in outlines], [o.section for o in outlines])
        step = loop.step(inputs)
        for row, outline in enumerate(outlines):
            topic = planned[row]
            topics.append(
                _Topic(
                    study=outline.study,
                    section=outline.section,
                    tag=None if topic is None or topic.denied else topic.tag,
                    details=inputs.detail[row],
                    attention=step.attention[row] if attends else None,
                    vector=step.topic[row],
                )
            )
            outline.advance(step.stop[row], step.section_next[row])
        unfinished = [row for row, outline in enumerate(outlines) if not outline.done]
        outlines = [outlines[row] for row in unfinished]
        loop.keep(unfinished)
    return topics


def _study_input(manifest: Manifest, outlines: list[_Outline], encodings: list[Encoding]) -> StudyInput:
    """Input of the sentence LSTM; the papers' plain form was not trained on how unusual the evidence is."""
    tags = np.stack([outline.plan.positive for outline in outlines])
    unusual = np.stack([outline.plan.unusual for outline in outlines])
    return StudyInput(
        patches=_patches(manifest, encodings),
        has_image=np.array([encoding.patches is not None for encoding in encodings], np.float32),
        tags=tags,
        unusual=unusual if manifest.decoding.planned else np.zeros_like(tags),
    )


def _patches(manifest: Manifest, encodings: list[Encoding]) -> Floats:
    """(B, P, D) patch features, or zeros (B, 1, D) without images."""
    empty = np.zeros((1, manifest.sizes.patch_dim), np.float32)
    return np.stack([empty if encoding.patches is None else encoding.patches for encoding in encodings])


def _topic_input(topics: Sequence[_Planned | None], plans: Sequence[Plan], sections: Sequence[Section]) -> TopicInput:
    """Input of a sentence step; rows of zeros for a free topic."""
    inputs = TopicInput(
        plan=np.zeros((len(topics), len(plans[0].probabilities)), np.float32),
        detail=np.zeros((len(topics), len(Detail)), np.float32),
        section=np.array([section is Section.IMPRESSION for section in sections], np.int64),
    )
    for row, (topic, plan) in enumerate(zip(topics, plans, strict=True)):
        if topic is not None:
            inputs.plan[row, topic.tag] = -1 if topic.denied else 1
            details = () if topic.denied else plan.details.get(topic.tag, ())
            inputs.detail[row] = [detail in details for detail in Detail]
    return inputs


def attend(model: Model, encoding: Encoding, plan: Plan, tag: int) -> Floats:
    """Attend to the image as for a sentence planned to state a reporting tag, whether the plan has it or not.

    Args:
        model: a loaded bundle.
        encoding: of a study with an image.
        plan: of the same study.
        tag: index of the reporting tag.

    Returns:
        (P,) attention over the patches with a sum of 1, of the first topic of a report.
    """
    study = StudyInput(
        patches=_patches(model.manifest, [encoding]),
        has_image=np.ones(1, np.float32),
        tags=plan.positive[None],
        unusual=plan.unusual[None],
    )
    topic = _topic_input([_Planned(tag)], [plan], [Section.FINDINGS])
    state = np.zeros((1, model.manifest.sizes.hidden), np.float32)
    attention: Floats = model.sentence_step(study, topic, state, state).attention[0]
    return attention


def _write_topics(model: Model, topics: list[_Topic], studies: int, limits: Limits) -> list[Decoding]:
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


def _banned(manifest: Manifest, topics: list[_Topic]) -> NDArray[np.bool_]:
    """(N, V) words that give details which their sentence was not planned with."""
    unplanned = np.stack([topic.details == 0 for topic in topics])
    banned: NDArray[np.bool_] = unplanned @ manifest.detail_words & manifest.decoding.planned
    return banned


def _decoding(study: int, topics: list[_Topic], sentences: list[Words]) -> Decoding:
    """Sentences of a study, without empty ones and those that a section has already."""
    decoded: dict[tuple[Section, tuple[int, ...]], SentenceIds] = {}
    for topic, words in zip(topics, sentences, strict=True):
        if topic.study == study and words.ids:
            sentence = SentenceIds(
                section=topic.section,
                ids=words.ids,
                planned=topic.tag,
                attention=topic.attention,
                log_probability=words.log_probability,
            )
            decoded.setdefault((topic.section, words.ids), sentence)
    return Decoding(tuple(decoded.values()))
