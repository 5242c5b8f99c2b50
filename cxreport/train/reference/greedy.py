"""Greedy decoding with the torch networks, one study, one sentence and one word after the other.

The states of the LSTMs are carried on, or, as in much research code, every step reads the whole prefix again. Both give
the same reports.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from cxreport.drafting.captions import REPEATS, split
from cxreport.model.manifest import Manifest
from cxreport.model.texts import WrittenText
from cxreport.text.vocabulary import END, NO_WORD, PAD, UNK
from cxreport.train.networks.captioner import Captioner
from cxreport.train.networks.decoder import Decoder, StudyInput, TopicInput
from cxreport.types import Detail, Encoding, Plan, PlannedTopic, Section

_LIKELY = 0.5
_PHRASE = 3

Ids = list[tuple[Section, tuple[int, ...]]]
"""Sentences of a report."""
_TopicStep = Callable[[TopicInput], tuple[Tensor, Tensor, Tensor]]
"""Plan of a sentence, one more with each call -> topic (1, hidden), logits of stop and next section (1,)."""
_WordStep = Callable[[list[int]], Tensor]
"""Words so far, one more with each call -> logits (1, V) of the next one."""


@torch.inference_mode()
def greedy(
    writer: Decoder | Captioner, manifest: Manifest, encoding: Encoding, plan: Plan, rereading: bool = False
) -> Ids:
    """Decode one study.

    Args:
        writer: in evaluation mode.
        manifest: lengths and reporting tags.
        encoding: with patch features or without.
        plan: of the study.
        rereading: a decoder's every step reads the whole prefix again, in place of carrying its state on.
    """
    if isinstance(writer, Captioner):
        return _greedy_caption(writer, manifest, encoding)
    topic_step = _topic_step(writer, manifest, encoding, plan, rereading)
    most = 0 if manifest.decoding.exact else manifest.decoding.max_sentences
    sentences = Ids()
    for section, planned in zip(Section, (plan.findings, plan.impression), strict=True):
        steps, ends = (planned if manifest.decoding.planned else ()), False
        count = 0
        while count < len(steps) or (count < most and not ends):
            inputs = _topic_input(writer, section, steps[count : count + 1])
            topic, stop, next_section = topic_step(inputs)
            count += 1
            ids = _greedy_words(writer, manifest, topic, inputs.detail, rereading)
            if ids and (section, ids) not in sentences:
                sentences.append((section, ids))
            changes = section is Section.FINDINGS and bool(next_section.sigmoid() > _LIKELY)
            ends = bool(stop.sigmoid() > _LIKELY) or changes
    return sentences


def _topic_input(decoder: Decoder, section: Section, topics: Sequence[PlannedTopic]) -> TopicInput:
    """Inputs of a sentence about one topic, or a free one."""
    inputs = TopicInput(
        plan=torch.zeros(1, decoder.sizes.tags),
        detail=torch.zeros(1, len(Detail)),
        section=torch.tensor([list(Section).index(section)]),
    )
    for topic in topics:
        inputs.plan[0, list(topic.tags)] = topic.sign
        inputs.detail[0] = torch.tensor([float(detail in topic.details) for detail in Detail])
    return inputs


def _topic_step(decoder: Decoder, manifest: Manifest, encoding: Encoding, plan: Plan, rereading: bool) -> _TopicStep:
    """The step that makes the topics of a study."""
    patches = torch.zeros(1, decoder.sizes.patch_dim) if encoding.patches is None else torch.tensor(encoding.patches)
    study = StudyInput(
        patches=patches[None],
        has_image=torch.tensor([float(encoding.patches is not None)]),
        tags=torch.from_numpy(plan.positive)[None],
        unusual=torch.from_numpy(plan.unusual)[None] * float(manifest.decoding.planned),
    )
    state, prefix = decoder.start(1), list[TopicInput]()

    def carry_on(sentence: TopicInput) -> tuple[Tensor, Tensor, Tensor]:
        nonlocal state
        output = decoder.sentence(study, sentence, state)
        state = output.state
        return output.topic, output.stop, output.section

    def reread(sentence: TopicInput) -> tuple[Tensor, Tensor, Tensor]:
        prefix.append(sentence)
        sentences = TopicInput(*(torch.stack(column, 1) for column in zip(*prefix, strict=True)))
        topics, stops, sections = decoder.topics(study, sentences)
        return topics[:, -1], stops[:, -1], sections[:, -1]

    return reread if rereading else carry_on


def _greedy_words(
    decoder: Decoder, manifest: Manifest, topic: Tensor, detail: Tensor, rereading: bool
) -> tuple[int, ...]:
    """Decode the sentence of one topic (1, hidden), without the words of details that ``detail`` (1, D) lacks."""
    unplanned = [d for d in range(len(Detail)) if manifest.decoding.planned and not detail[0, d]]
    banned = np.flatnonzero(manifest.detail_words[unplanned].any(0)).tolist()
    state = decoder.start(1)

    def carry_on(ids: list[int]) -> Tensor:
        nonlocal state
        logits: Tensor
        logits, state = decoder.word(topic, torch.tensor(ids[-1:] or [NO_WORD]), state)
        return logits

    def reread(ids: list[int]) -> Tensor:
        return decoder.words(topic, torch.tensor([[*ids, PAD]]))[:, -1]

    def forbidden(ids: list[int]) -> list[int]:
        return [*banned, *(i for i in ids if manifest.long_words[i])]

    return _greedy_ids(manifest, reread if rereading else carry_on, forbidden, _PHRASE)


def _greedy_caption(captioner: Captioner, manifest: Manifest, encoding: Encoding) -> Ids:
    """Decode the report of an image as one sequence, and take it apart."""
    assert encoding.patches is not None
    items, state = captioner.items(torch.from_numpy(encoding.patches)[None]), captioner.start(1)

    def word_step(ids: list[int]) -> Tensor:
        nonlocal state
        logits: Tensor
        logits, _, state = captioner(items, torch.tensor(ids[-1:] or [NO_WORD]), state)
        return logits

    ids = _greedy_ids(manifest, word_step, lambda _: [], REPEATS)
    return [(s.section, s.ids) for s in split(manifest, WrittenText(ids, 0.0)).sentences]


def _greedy_ids(
    manifest: Manifest, word_step: _WordStep, forbidden: Callable[[list[int]], list[int]], repeats: int
) -> tuple[int, ...]:
    """Append the likeliest word until the end, but no ``forbidden`` one, and no phrase of ``repeats`` words twice."""
    ids = list[int]()
    while len(ids) < manifest.decoding.max_words:
        logits = word_step(ids)
        phrases = [ids[i : i + repeats] for i in range(len(ids) - repeats + 1)]
        repeating = [phrase[-1] for phrase in phrases if phrase[:-1] == ids[1 - repeats :]]
        early = [END] if len(ids) < manifest.decoding.min_words else []
        logits[0, [PAD, UNK, *forbidden(ids), *repeating, *early]] = -torch.inf
        word = int(logits.argmax())
        if word == END:
            break
        ids.append(word)
    return tuple(ids)
