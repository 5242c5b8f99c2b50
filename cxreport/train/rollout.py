"""Reports drawn from the decoder's own probabilities, for self-critical training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cxreport._outline import Outline
from cxreport.bundle import END, NO_WORD, PAD, UNK
from cxreport.train.decoder import Decoder
from cxreport.types import Detail, Plan, Section


@dataclass(frozen=True, eq=False)
class Rules:
    """What decoding keeps to."""

    impression: tuple[bool, ...]
    """(R,) whether the Impression repeats a tag."""
    detail_words: NDArray[np.bool_]
    """(D, V) which words give which detail."""
    long_words: NDArray[np.bool_]
    """(V,) words that no sentence has twice."""
    max_sentences: int
    min_words: int
    max_words: int


class Inputs(NamedTuple):
    """What the decoder reads of N reports."""

    patches: Tensor
    has_image: Tensor
    tags: Tensor
    unusual: Tensor

    def repeat(self, times: int) -> Inputs:
        """Every report so many times, the copies adjacent."""
        return Inputs(*(t.repeat_interleave(times, 0) for t in self))


@dataclass(frozen=True, eq=False)
class Rollout:
    """N reports of at most S sentences, and what was decided on the way."""

    plans: Tensor
    """(N, S, R)"""
    details: Tensor
    """(N, S, D)"""
    sections: Tensor
    """(N, S)"""
    real: Tensor
    """(N, S) bool: there is such a sentence."""
    stops: Tensor
    """(N, S) 0 or 1; -1 where it was not asked."""
    switches: Tensor
    """(N, S) whether the Impression follows, likewise."""
    words: Tensor
    """(sentences, T) ids with the end mark, filled up with `PAD`; the rows of ``real`` in order."""


@torch.no_grad()
def draw(decoder: Decoder, rules: Rules, inputs: Inputs, plans: Sequence[Plan], generator: torch.Generator) -> Rollout:
    """Draw a report for every row of the inputs.

    Args:
        decoder: in evaluation mode.
        rules: as inference has them.
        inputs: N reports.
        plans: of the same N.
        generator: the source of randomness.
    """
    outlines = [
        Outline(p.tags, p.denied, [t for t in p.tags if rules.impression[t]], rules.max_sentences) for p in plans
    ]
    state, steps, topics = decoder.start(len(plans)), [], []
    while not all(outline.done for outline in outlines):
        plan, detail = torch.zeros_like(inputs.tags), torch.zeros(len(plans), len(Detail))
        for row, (outline, whole) in enumerate(zip(outlines, plans, strict=True)):
            if not outline.done and (topic := outline.next_planned()):
                plan[row, topic[0]] = topic[1]
                if topic[1] > 0:
                    detail[row] = torch.tensor([float(d in whole.details.get(topic[0], ())) for d in Detail])
        section = torch.tensor([int(outline.section is Section.IMPRESSION) for outline in outlines])
        real = torch.tensor([not outline.done for outline in outlines])
        out = decoder.sentence(*inputs, plan, detail, section, state)
        state = out.state
        chances = torch.stack([out.stop, out.section], 1).sigmoid()
        chosen = torch.bernoulli(chances, generator=generator)
        for row, outline in enumerate(outlines):
            was = outline.section
            if outline.done or not outline.advance(float(chosen[row, 0]), float(chosen[row, 1])):
                chosen[row] = -1
            elif was is Section.IMPRESSION:
                chosen[row, 1] = -1
        steps.append((plan, detail, section, real, chosen[:, 0], chosen[:, 1]))
        topics.append(out.topic)
    stacked = [torch.stack(parts, 1) for parts in zip(*steps, strict=True)]
    plan, detail, section, real, stops, switches = stacked
    words = _draw_words(decoder, rules, torch.stack(topics, 1)[real], detail[real], generator)
    return Rollout(plan, detail, section, real, stops, switches, words)


def _draw_words(decoder: Decoder, rules: Rules, topics: Tensor, details: Tensor, generator: torch.Generator) -> Tensor:
    """(M, H), (M, D) -> (M, T) ids."""
    banned = (1 - details) @ torch.from_numpy(rules.detail_words).float() > 0
    banned[:, [PAD, UNK]] = True
    long = torch.from_numpy(rules.long_words)
    words = torch.full((len(topics), rules.max_words + 1), PAD)
    rows, state, last = torch.arange(len(topics)), decoder.start(len(topics)), torch.full((len(topics),), NO_WORD)
    for t in range(rules.max_words + 1):
        logits, state = decoder.word(topics[rows], last, state)
        logits[banned[rows]] = -torch.inf
        if t < rules.min_words:
            logits[:, END] = -torch.inf
        last = torch.multinomial(logits.softmax(1), 1, generator=generator).squeeze(1)
        words[rows, t] = last
        banned[rows[long[last]], last[long[last]]] = True
        on = last != END
        rows, last, state = rows[on], last[on], type(state)(state.hidden[on], state.cell[on])
        if not len(rows):
            break
    return words[:, : t + 1]
