"""Topics of the sentences of a report, the planned ones first, by the sentence LSTM of Jing et al. 2018."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cxreport.drafting import sentence_loop
from cxreport.model.graphs import StudyInput, TopicInput
from cxreport.model.manifest import Manifest
from cxreport.types import Detail, Encoding, Floats, Plan, PlannedTopic, Section

if TYPE_CHECKING:
    from cxreport.model.session import Model

_LIKELY = 0.5


@dataclass(frozen=True)
class Topic:
    """Content of a sentence to be written."""

    study: int
    section: Section
    planned: PlannedTopic | None
    """What it is planned to say; None for a free topic."""
    details: Floats
    """(D,) 1 for each `Detail` that it is planned with."""
    attention: Floats | None
    """(P,)"""
    vector: Floats
    """(H,) input of the word LSTM."""


class _Outline:
    """Progress of the report of one study.

    In each section the planned topics come first; while some remain, the networks' stop and section outputs are not
    asked. Where the bundle is exact, the planned ones are all there is, and a section may have none.
    """

    def __init__(self, manifest: Manifest, study: int, plan: Plan, max_sentences: int) -> None:
        self.study, self.plan = study, plan
        self.section = Section.FINDINGS
        self.done = False
        self._exact = manifest.decoding.planned and manifest.decoding.exact
        self._planned = deque(plan.findings if manifest.decoding.planned else ())
        self._impression = deque(plan.impression if manifest.decoding.planned else ())
        self._max_sentences = max_sentences
        self._sentences = 0
        if self._exact and not self._planned:
            self._next_section()

    @property
    def planned(self) -> PlannedTopic | None:
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
        full = self._exact or self._sentences >= self._max_sentences
        if self.section is Section.IMPRESSION:
            self.done = full or stop > _LIKELY
        elif full or section_next > _LIKELY or stop > _LIKELY:
            self._next_section()

    def _next_section(self) -> None:
        """Begin the Impression."""
        self.section, self._planned, self._sentences = Section.IMPRESSION, self._impression, 0
        self.done = self._exact and not self._planned


def make_topics(model: Model, encodings: Sequence[Encoding], plans: Sequence[Plan], max_sentences: int) -> list[Topic]:
    """Topics of all studies; those with an image and those without are separate batches."""
    topics: list[Topic] = []
    for image in (True, False):
        group = [i for i, encoding in enumerate(encodings) if (encoding.patches is not None) is image]
        if group:
            outlines = [_Outline(model.manifest, i, plans[i], max_sentences) for i in group]
            begun = [outline for outline in outlines if not outline.done]
            if begun:
                topics += _unroll(model, begun, [encodings[outline.study] for outline in begun])
    return topics


def _unroll(model: Model, outlines: list[_Outline], encodings: list[Encoding]) -> list[Topic]:
    """Run the sentence LSTM for studies that all have images, or all have none, until the last report ends."""
    topics: list[Topic] = []
    attends = encodings[0].patches is not None
    loop = sentence_loop.start(model, _study_input(model.manifest, outlines, encodings))
    while outlines:
        planned = [outline.planned for outline in outlines]
        inputs = _topic_input(planned, [o.plan for o in outlines], [o.section for o in outlines])
        step = loop.step(inputs)
        for row, outline in enumerate(outlines):
            topics.append(
                Topic(
                    study=outline.study,
                    section=outline.section,
                    planned=planned[row],
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


def _topic_input(
    topics: Sequence[PlannedTopic | None], plans: Sequence[Plan], sections: Sequence[Section]
) -> TopicInput:
    """Input of a sentence step; rows of zeros for a free topic."""
    inputs = TopicInput(
        plan=np.zeros((len(topics), len(plans[0].probabilities)), np.float32),
        detail=np.zeros((len(topics), len(Detail)), np.float32),
        section=np.array([section is Section.IMPRESSION for section in sections], np.int64),
    )
    for row, topic in enumerate(topics):
        if topic is not None:
            inputs.plan[row, list(topic.tags)] = topic.sign
            inputs.detail[row] = [detail in topic.details for detail in Detail]
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
    topic = _topic_input([PlannedTopic((tag,))], [plan], [Section.FINDINGS])
    state = np.zeros((1, model.manifest.sizes.hidden), np.float32)
    attention: Floats = model.sentence_step(study, topic, state, state).attention[0]
    return attention
