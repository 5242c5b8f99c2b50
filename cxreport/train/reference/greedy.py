"""Greedy decoding with the torch networks, one study, one sentence and one word after the other: the plain way.

States are carried on, or, as much research code does it, every step reads all that was written before it once more.
Both give the same reports.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from cxreport.drafting.captions import REPEATS, split
from cxreport.model.manifest import Manifest
from cxreport.model.word_limits import Words
from cxreport.text.vocabulary import END, NO_WORD, PAD, UNK
from cxreport.train.networks.captioner import Captioner
from cxreport.train.networks.decoder import Decoder
from cxreport.types import Detail, Encoding, Plan, Section

_LIKELY = 0.5
_PHRASE = 3

Ids = list[tuple[Section, tuple[int, ...]]]
"""Sentences of a report."""
_Speak = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
"""Plan (1, R), details (1, D) and section (1,) -> topic (1, hidden) and the logits of stop and next section."""
_Score = Callable[[list[int]], Tensor]
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
    decoder = writer
    told = [(t, 1.0) for t in plan.tags] if manifest.decoding.planned else []
    denied = [(t, -1.0) for t in plan.denied] if manifest.decoding.planned else []
    repeated = [(t, sign) for t, sign in told if manifest.reporting_tags[t].impression]
    speak, found = _speaker(decoder, manifest, encoding, plan, rereading), Ids()
    for number, (section, planned) in enumerate(zip(Section, (told + denied, repeated), strict=True)):
        written, going_on = 0, True
        while going_on:
            hot, detail = torch.zeros(1, decoder.sizes.tags), torch.zeros(1, len(Detail))
            for tag, sign in planned[written : written + 1]:
                hot[0, tag] = sign
                detail[0] = torch.tensor([float(sign > 0 and d in plan.details.get(tag, ())) for d in Detail])
            topic, stop, next_section = speak(hot, detail, torch.tensor([number]))
            written += 1
            ids = _greedy_words(decoder, manifest, topic, detail, rereading)
            if ids and (section, ids) not in found:
                found.append((section, ids))
            ends = bool(stop.sigmoid() > _LIKELY) or (number == 0 and bool(next_section.sigmoid() > _LIKELY))
            going_on = written < len(planned) or (written < manifest.decoding.max_sentences and not ends)
    return found


def _speaker(decoder: Decoder, manifest: Manifest, encoding: Encoding, plan: Plan, rereading: bool) -> _Speak:
    """What makes the topics of a study."""
    seen = encoding.patches is not None
    patches = torch.from_numpy(encoding.patches)[None] if seen else torch.zeros(1, 1, decoder.sizes.patch_dim)
    image, tags = torch.tensor([float(seen)]), torch.from_numpy(plan.positive)[None]
    unusual = torch.from_numpy(plan.unusual)[None] * float(manifest.decoding.planned)
    state, said = decoder.start(1), list[tuple[Tensor, ...]]()

    def carry_on(hot: Tensor, detail: Tensor, section: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        nonlocal state
        out = decoder.sentence(patches, image, tags, unusual, hot, detail, section, state)
        state = out.state
        return out.topic, out.stop, out.section

    def reread(hot: Tensor, detail: Tensor, section: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        said.append((hot, detail, section))
        plans, details, sections = (torch.stack(column, 1) for column in zip(*said, strict=True))
        topics, stops, nexts = decoder.topics(patches, image, tags, unusual, plans, details, sections)
        return topics[:, -1], stops[:, -1], nexts[:, -1]

    return reread if rereading else carry_on


def _greedy_words(
    decoder: Decoder, manifest: Manifest, topic: Tensor, detail: Tensor, rereading: bool
) -> tuple[int, ...]:
    """Decode the sentence of one topic (1, hidden) without words of details (1, D) that it does not have."""
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
    seen, state = captioner.seen(torch.from_numpy(encoding.patches)[None]), captioner.start(1)

    def score(ids: list[int]) -> Tensor:
        nonlocal state
        logits: Tensor
        logits, _, state = captioner(seen, torch.tensor(ids[-1:] or [NO_WORD]), state)
        return logits

    ids = _greedy_ids(manifest, score, lambda _: [], REPEATS)
    return [(s.section, s.ids) for s in split(manifest, Words(ids, 0.0)).sentences]


def _greedy_ids(
    manifest: Manifest, score: _Score, forbidden: Callable[[list[int]], list[int]], repeats: int
) -> tuple[int, ...]:
    """Take the likeliest word again and again, without ``forbidden`` ones and a phrase of ``repeats`` words twice."""
    ids = list[int]()
    while len(ids) < manifest.decoding.max_words:
        logits = score(ids)
        phrases = [ids[i : i + repeats] for i in range(len(ids) - repeats + 1)]
        repeating = [phrase[-1] for phrase in phrases if phrase[:-1] == ids[1 - repeats :]]
        early = [END] if len(ids) < manifest.decoding.min_words else []
        logits[0, [PAD, UNK, *forbidden(ids), *repeating, *early]] = -torch.inf
        word = int(logits.argmax())
        if word == END:
            break
        ids.append(word)
    return tuple(ids)
