"""Decode: plans to sentences, as word ids.

The sentence LSTM is unrolled for all studies of the batch, each leaving it when its report ends; then all sentences of
all studies are rows of one word LSTM batch. Both carry their state: no step reads again what an earlier one has read.
The ids of a study do not depend on the batch that it travels in (see `session`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cxreport.drafting import sentence_loop
from cxreport.drafting.beam import search
from cxreport.drafting.captions import write_captions
from cxreport.drafting.ground import ground
from cxreport.drafting.word_steps import TopicScorer
from cxreport.errors import UsageError
from cxreport.model.manifest import WORD_SEARCH, Manifest
from cxreport.model.word_limits import Limits, Words
from cxreport.reading.stopwatch import Stopwatch
from cxreport.types import Decoding, Detail, Encoding, Floats, Plan, Section, SentenceIds

if TYPE_CHECKING:
    from cxreport.model.session import Model

_LIKELY = 0.5


@dataclass(frozen=True)
class DecodeOptions:
    """How to decode; None stands for the bundle's own length."""

    beam: int = 1
    """Width of the beam; 1 is greedy."""
    max_sentences: int | None = None
    """Sentences of a section after which no free topic is added; planned topics are always told."""
    min_words: int | None = None
    """Of a sentence, or of a whole report where the architecture writes it as one sequence."""
    max_words: int | None = None
    attention: bool = False
    """Give each sentence and each word its map over the patches, where there is an image (see `ground`)."""

    def __post_init__(self) -> None:
        lengths = [n for n in (self.max_sentences, self.min_words, self.max_words) if n is not None]
        if min([self.beam, *lengths]) < 1:
            raise UsageError("The beam width and all lengths must be at least 1.")


@dataclass(frozen=True)
class _Topic:
    """A sentence to be written."""

    study: int
    section: Section
    planned: int | None
    details: Floats
    attention: Floats | None
    vector: Floats


class _Outline:
    """How far the report of one study has come.

    In each section the planned topics come first, the most probable tag before the others; while some remain, the
    networks' stop and section outputs are not asked.
    """

    def __init__(self, manifest: Manifest, plan: Plan, max_sentences: int) -> None:
        self.section = Section.FINDINGS
        self.done = False
        told = plan.tags if manifest.decoding.planned else ()
        denied = plan.denied if manifest.decoding.planned else ()
        self._planned = deque([*((t, 1.0) for t in told), *((t, -1.0) for t in denied)])
        self._impression = deque((t, 1.0) for t in told if manifest.reporting_tags[t].impression)
        self._max_sentences = max_sentences
        self._written = 0

    def next_planned(self) -> tuple[int, float] | None:
        """Tag that the next sentence is planned to tell (1) or to deny (-1); None for a free topic."""
        return self._planned[0] if self._planned else None

    def advance(self, stop: float, section_next: float) -> None:
        """Go on to the next sentence, the next section or the end.

        Args:
            stop: probability that the report ends here.
            section_next: probability that the Impression follows.
        """
        self._written += 1
        if self._planned:
            self._planned.popleft()
        if self._planned:
            return
        full = self._written >= self._max_sentences
        if self.section is Section.IMPRESSION:
            self.done = full or stop > _LIKELY
        elif full or section_next > _LIKELY or stop > _LIKELY:
            self.section, self._planned, self._written = Section.IMPRESSION, self._impression, 0


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
    if model.manifest.captioning:
        with watch.stage("words"):
            decodings = write_captions(model, encodings, options.beam, min_words, max_words)
    else:
        with watch.stage("sentences"):
            topics = _make_topics(model, encodings, plans, options.max_sentences or defaults.max_sentences)
        with watch.stage("words"):
            limits = Limits(options.beam, min_words, max_words, model.manifest.long_words)
            decodings = _write_topics(model, topics, len(encodings), limits)
    if options.attention:
        with watch.stage("ground"):
            decodings = ground(model, encodings, decodings)
    return decodings


def _make_topics(
    model: Model, encodings: Sequence[Encoding], plans: Sequence[Plan], max_sentences: int
) -> list[_Topic]:
    """Unroll the topics of all studies."""
    with_image = [i for i, e in enumerate(encodings) if e.patches is not None]
    without = [i for i, e in enumerate(encodings) if e.patches is None]
    return [
        topic
        for group in (with_image, without)
        if group
        for topic in _unroll(model, group, encodings, plans, max_sentences)
    ]


def _write_topics(model: Model, topics: list[_Topic], studies: int, limits: Limits) -> list[Decoding]:
    """Unroll the words of all topics."""
    if not topics:
        return []
    vectors, banned = np.stack([t.vector for t in topics]), _banned(model.manifest, topics)
    if limits.beam == 1 and WORD_SEARCH in model.bound_steps:
        from cxreport.model.gpu.word_search import write_greedily

        sentences = write_greedily(model, vectors, banned, limits)
    else:
        sentences = search(TopicScorer(model, vectors), model.manifest.sizes.hidden, banned, limits)
    return [_collect(study, topics, sentences) for study in range(studies)]


def attend(model: Model, encoding: Encoding, plan: Plan, tag_index: int) -> Floats:
    """Say where a sentence planned to tell a reporting tag looks, whether the plan has it or not.

    Args:
        model: a loaded bundle.
        encoding: of a study with an image.
        plan: of the same study.
        tag_index: of the reporting tag.

    Returns:
        (P,) attention over the patches with a sum of 1, of the first topic of a report.
    """
    manifest = model.manifest
    topic, detail = _plan_input([(tag_index, 1.0)], [plan], len(manifest.reporting_tags))
    state = np.zeros((1, manifest.sizes.hidden), np.float32)
    patches, ones, findings = _patches(manifest, [encoding]), np.ones(1, np.float32), np.zeros(1, np.int64)
    tags, unusual = plan.positive[None], plan.unusual[None]
    step = model.sentence_step(patches, ones, tags, unusual, topic, detail, findings, state, state)
    attention: Floats = step.attention[0]
    return attention


def _unroll(
    model: Model, group: list[int], encodings: Sequence[Encoding], plans: Sequence[Plan], max_sentences: int
) -> list[_Topic]:
    """Run the sentence LSTM for studies that all have images, or all have none, until the last report ends."""
    manifest = model.manifest
    topics: list[_Topic] = []
    outlines = {i: _Outline(manifest, plans[i], max_sentences) for i in group}
    patches = _patches(manifest, [encodings[i] for i in group])
    seen = encodings[group[0]].patches is not None
    has_image = np.full(len(group), seen, np.float32)
    tags = np.stack([plans[i].positive for i in group])
    shown = manifest.decoding.planned  # the papers' plain form never saw how unusual the evidence is
    unusual = np.stack([plans[i].unusual if shown else np.zeros_like(tags[0]) for i in group])
    unrolling = sentence_loop.start(model, patches, has_image, tags, unusual)
    while group:
        planned = [outlines[i].next_planned() for i in group]
        section = np.array([outlines[i].section is Section.IMPRESSION for i in group], np.int64)
        plan, detail = _plan_input(planned, [plans[i] for i in group], tags.shape[1])
        step = unrolling.step(plan, detail, section)
        for row, study in enumerate(group):
            attention = step.attention[row] if seen else None
            where = outlines[study].section
            topics.append(_Topic(study, where, _told(planned[row]), detail[row], attention, step.topic[row]))
            outlines[study].advance(step.stop[row], step.section_next[row])
        on = [row for row, study in enumerate(group) if not outlines[study].done]
        group = [group[row] for row in on]
        unrolling.keep(on)
    return topics


def _patches(manifest: Manifest, encodings: list[Encoding]) -> Floats:
    """(B, P, D) patch features, or zeros (B, 1, D) without images."""
    empty = np.zeros((1, manifest.sizes.patch_dim), np.float32)
    return np.stack([empty if e.patches is None else e.patches for e in encodings])


def _plan_input(planned: list[tuple[int, float] | None], plans: list[Plan], tags: int) -> tuple[Floats, Floats]:
    """(B, R) 1 for a tag to tell, -1 for one to deny, and (B, D) how; rows of zeros for a free topic."""
    plan, detail = np.zeros((len(planned), tags), np.float32), np.zeros((len(planned), len(Detail)), np.float32)
    for row, (topic, whole) in enumerate(zip(planned, plans, strict=True)):
        if topic is not None:
            plan[row, topic[0]] = topic[1]
            detail[row] = [topic[1] > 0 and d in whole.details.get(topic[0], ()) for d in Detail]
    return plan, detail


def _banned(manifest: Manifest, topics: list[_Topic]) -> NDArray[np.bool_]:
    """(N, V) words that give details which their sentence was not planned with."""
    unplanned = np.stack([t.details == 0 for t in topics])
    banned: NDArray[np.bool_] = unplanned @ manifest.detail_words & manifest.decoding.planned
    return banned


def _told(planned: tuple[int, float] | None) -> int | None:
    """The tag that a topic is planned to tell."""
    return planned[0] if planned is not None and planned[1] > 0 else None


def _collect(study: int, topics: list[_Topic], sentences: list[Words]) -> Decoding:
    """The sentences of a study, without empty ones and those that a section has already."""
    kept: dict[tuple[Section, tuple[int, ...]], SentenceIds] = {}
    for topic, words in zip(topics, sentences, strict=True):
        if topic.study == study and words.ids:
            sentence = SentenceIds(topic.section, words.ids, topic.planned, topic.attention, words.log_probability)
            kept.setdefault((topic.section, words.ids), sentence)
    return Decoding(tuple(kept.values()))
