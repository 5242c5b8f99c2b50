"""Topics of the sentences of a report, the planned ones first, by the sentence LSTM of Jing et al. 2018."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cxreport.drafting import sentence_loop
from cxreport.model.graphs import StudyInput, TopicInput
from cxreport.model.manifest import Manifest
from cxreport.types import Detail, Encoding, Floats, Plan, Section

if TYPE_CHECKING:
    from cxreport.model.session import Model

_LIKELY = 0.5


class _Planned(NamedTuple):
    """Planned content of a sentence."""

    tag: int
    """Index of the reporting tag."""
    denied: bool = False
    """True where the sentence denies the tag, False where it states it."""


@dataclass(frozen=True)
class Topic:
    """Content of a sentence to be written."""

    study: int
    section: Section
    tag: int | None
    """Index of the reporting tag that it is planned to state; None for a denial or a free topic."""
    denied: int | None
    """Index of the reporting tag that it is planned to deny; None for a statement or a free topic."""
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


def make_topics(model: Model, encodings: Sequence[Encoding], plans: Sequence[Plan], max_sentences: int) -> list[Topic]:
    """Topics of all studies; those with an image and those without are separate batches."""
    topics: list[Topic] = []
    for image in (True, False):
        group = [i for i, encoding in enumerate(encodings) if (encoding.patches is not None) is image]
        if group:
            outlines = [_Outline(model.manifest, i, plans[i], max_sentences) for i in group]
            topics += _unroll(model, outlines, [encodings[i] for i in group])
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
            topic = planned[row]
            topics.append(
                Topic(
                    study=outline.study,
                    section=outline.section,
                    tag=None if topic is None or topic.denied else topic.tag,
                    denied=topic.tag if topic is not None and topic.denied else None,
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
