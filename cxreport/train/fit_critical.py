"""Stage 4: self-critical training (Rennie et al. 2017), on the plans that inference makes from a classifier's evidence.

For every study some reports are drawn. Each of their sentences is paid what it adds to its section, as `reward` has
it, less what the sentences drawn for the same topic are paid on average; a sentence that does not keep to the plan
costs. Batches of the reports as they were written keep the language in place.
"""

from __future__ import annotations

import functools
import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cxreport import lexicon
from cxreport._sentence import sentence_text
from cxreport.bundle import PAD
from cxreport.labeler import CLASSES, label
from cxreport.report import arrange
from cxreport.train import checkpoints
from cxreport.train.batches import Batches, DecoderData, Images
from cxreport.train.config import DecoderConfig
from cxreport.train.decoder import Decoder
from cxreport.train.fit_decoder import sentence_losses, unroll_words
from cxreport.train.progress import Progress
from cxreport.train.reward import Reference, SectionReward
from cxreport.train.rollout import Inputs, Rollout, Rules, draw
from cxreport.types import Floats, Plan, Section

_UNTOLD = 1.0  # a planned sentence that does not tell its tag, or tells another
_DROPPED = 0.3  # a free one that contradicts the plan, or repeats
_MOMENTUM = 0.02


@dataclass(frozen=True, eq=False)
class PlannedReport:
    """A study as inference sees it, with what a radiologist wrote."""

    index: int
    """Of the report among `DecoderData.train`."""
    plan: Plan
    references: dict[Section, Reference]
    """Sections that were written."""


@dataclass(frozen=True, eq=False)
class Critic:
    """What the reports drawn are measured by."""

    studies: Sequence[PlannedReport]
    rules: Rules
    places: dict[str, float]
    """Where Findings speak of each reporting tag."""


def fit_critical(
    config: DecoderConfig,
    data: DecoderData,
    critic: Critic,
    decoder: Decoder,
    images: Images | None,
    run: Path,
    progress: Progress,
    seed: int,
    measure: Callable[[], dict[str, float]] = dict,
) -> Decoder:
    """Train, or go on where ``run/critical.last.pt`` stopped; the result is ``run/critical.pt``.

    Args:
        config: the recipe's ``[decoder]``.
        data: reports, tags and vocabulary.
        critic: studies and rules.
        decoder: trained to write the reports as they are.
        images: patch features of the studies' partners.
        run: folder of checkpoints.
        progress: told of every step and epoch.
        seed: of all draws.
        measure: figures to log after an epoch.
    """
    done_path, last_path = run / "critical.pt", run / "critical.last.pt"
    if done_path.exists():
        decoder.load_state_dict(torch.load(done_path, weights_only=True))
        return decoder.eval()
    trainer = _Trainer(config, data, critic, decoder, images, seed)
    if last_path.exists():
        trainer.load(torch.load(last_path, weights_only=True))
    while trainer.epoch < config.critical_epochs:
        start = time.monotonic()
        figures = trainer.train_epoch(progress) | measure()
        progress.epoch("critical", figures | {"seconds": round(time.monotonic() - start)})
        checkpoints.save(trainer.state(), last_path)
    checkpoints.save(decoder.state_dict(), done_path)
    last_path.unlink(missing_ok=True)
    return decoder.eval()


class _Trainer:
    def __init__(
        self,
        config: DecoderConfig,
        data: DecoderData,
        critic: Critic,
        decoder: Decoder,
        images: Images | None,
        seed: int,
    ) -> None:
        self.config, self.data, self.critic, self.decoder, self.seed = config, data, critic, decoder, seed
        self.batches = Batches(config, data, images, decoder.sizes.patch_dim)
        self.images = images
        self.steps = math.ceil(len(critic.studies) / config.critical_batch)
        self.optimiser = torch.optim.AdamW(decoder.parameters(), config.critical_lr, weight_decay=0.0)
        self.rewards = {section: SectionReward(config.bleu_reward, config.rouge_reward) for section in Section}
        self.scale, self.epoch = 0.3, 0
        self.texts: dict[tuple[int, ...], str] = {}

    def state(self) -> dict[str, Any]:
        return {"decoder": self.decoder.state_dict(), "optimiser": self.optimiser.state_dict(), "epoch": self.epoch}

    def load(self, state: dict[str, Any]) -> None:
        self.decoder.load_state_dict(state["decoder"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.epoch = state["epoch"]

    def train_epoch(self, progress: Progress) -> dict[str, float]:
        rng = np.random.default_rng((self.seed, self.epoch))
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        order = rng.permutation(len(self.critic.studies))
        partner = self.images.partner(rng) if self.images else [-1] * len(self.data.train)
        sums: defaultdict[str, float] = defaultdict(float)
        for step in range(self.steps):
            chosen = order[step * self.config.critical_batch : (step + 1) * self.config.critical_batch]
            studies = [self.critic.studies[i] for i in chosen]
            hidden = rng.random(len(studies)) < self.config.visual_dropout
            pictures = [-1 if h else partner[s.index] for h, s in zip(hidden, studies, strict=True)]
            loss, figures = self._critical_loss(studies, pictures, generator)
            if self.config.critical_anchor:
                loss = loss + self.config.critical_anchor * self._anchor_loss(studies, pictures, rng)
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.decoder.parameters(), 1.0)
            self.optimiser.step()
            for name, value in figures.items():
                sums[name] += value / self.steps
            progress.step("critical", self.epoch * self.steps + step + 1, self.config.critical_epochs * self.steps, 0)
        self.epoch += 1
        return {"epoch": self.epoch} | {name: round(value, 4) for name, value in sums.items()}

    def _anchor_loss(self, studies: list[PlannedReport], pictures: list[int], rng: np.random.Generator) -> Tensor:
        self.decoder.train()
        reports = [self.data.train[s.index] for s in studies]
        losses = sentence_losses(self.decoder, self.batches.make(reports, pictures, rng), self.config.label_smoothing)
        self.decoder.eval()
        return losses.words + losses.stop + losses.section

    def _critical_loss(
        self, studies: list[PlannedReport], pictures: list[int], generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        copies = self.config.critical_samples
        inputs = self._inputs(studies, pictures).repeat(copies)
        self.decoder.eval()
        plans = [s.plan for s in studies for _ in range(copies)]
        rollout = draw(self.decoder, self.critic.rules, inputs, plans, generator)
        gains, totals, figures = self._pay(rollout, studies)
        topics, stop, switch = self.decoder.topics(*inputs, rollout.plans, rollout.details, rollout.sections)
        logits, targets, rows = unroll_words(self.decoder, topics[rollout.real], rollout.words)
        spent = F.cross_entropy(logits, targets, reduction="none") * gains[rollout.real][rows]
        choices = torch.zeros_like(stop)
        for made, chance in ((rollout.stops, stop), (rollout.switches, switch)):
            costs = F.binary_cross_entropy_with_logits(chance, made.clamp(min=0), reduction="none")
            choices = choices + costs * (made >= 0)
        loss = spent.sum() + (choices * totals).sum()
        return loss / (self.scale * max(1, int(rollout.real.sum()))), figures

    def _inputs(self, studies: list[PlannedReport], pictures: list[int]) -> Inputs:
        patches, has_image = self.batches.patches(pictures)
        tags = torch.zeros(len(studies), len(self.data.tags))
        for row, study in zip(tags, studies, strict=True):
            told = list(study.plan.tags)
            row[told] = torch.from_numpy(study.plan.probabilities[told])
        return Inputs(patches, has_image, tags, torch.from_numpy(np.stack([s.plan.unusual for s in studies])))

    def _pay(self, rollout: Rollout, studies: list[PlannedReport]) -> tuple[Tensor, Tensor, dict[str, float]]:
        """Advantages of sentences and of the decisions between them, (N, S) each."""
        rows, steps = rollout.real.shape
        copies = self.config.critical_samples
        texts = iter([self._text(ids) for ids in rollout.words])
        written = [[next(texts) if real else "" for real in row] for row in rollout.real.tolist()]
        pay, total = np.zeros((rows, steps), np.float32), np.zeros((rows, steps), np.float32)
        kept_share = []
        for row in range(rows):
            study = studies[row // copies]
            for number, section in enumerate(Section):
                places = [s for s in range(steps) if rollout.real[row, s] and rollout.sections[row, s] == number]
                reference = study.references.get(section)
                kept, costs = self._keep(rollout, row, places, written[row], study.plan, section)
                kept_share.append(len(kept) / max(1, len(places)))
                pay[row, places] = costs
                if reference is not None:
                    sentences = [written[row][places[i]] for i in kept]
                    whole, added = self.rewards[section].marginals(sentences, reference)
                    self.rewards[section].follow(sentences, reference)
                    pay[row, [places[i] for i in kept]] += added
                    total[row, places] = whole
        shape = rows // copies, copies, steps
        real = rollout.real.numpy().reshape(shape)
        gains, totals = _less_the_others(pay.reshape(shape), real), _less_the_others(total.reshape(shape), real)
        self.scale += _MOMENTUM * (float(gains[real].std()) - self.scale)
        figures = {
            "pay": float(pay.sum(1).mean()),
            "kept": float(np.mean(kept_share)),
            "words": float((rollout.words != PAD).sum() / rows),
            "sentences": float(rollout.real.sum() / rows),
        }
        return torch.from_numpy(gains.reshape(rows, steps)), torch.from_numpy(totals.reshape(rows, steps)), figures

    def _keep(
        self, rollout: Rollout, row: int, places: list[int], texts: list[str], plan: Plan, section: Section
    ) -> tuple[Sequence[int], Floats]:
        """Which of a section's sentences the report keeps, in its order, and what the slips cost."""
        told = [self.data.tags[t] for t in plan.tags]
        planned = [rollout.plans[row, s].amax().item() > 0 for s in places]
        sentences = list(zip(planned, (texts[s] for s in places), strict=True))
        kept = arrange(sentences, told, self.critic.places if section is Section.FINDINGS else None)
        first = {texts[places[i]]: i for i in reversed(kept)}
        kept = [i for i in kept if first[texts[places[i]]] == i]
        costs = np.zeros(len(places), np.float32)
        for i, s in enumerate(places):
            if planned[i]:
                tag = self.data.tags[int(rollout.plans[row, s].argmax())]
                costs[i] = -_UNTOLD * (i not in kept or not _tells(texts[s], tag))
            elif i not in kept:
                costs[i] = -_DROPPED
        return kept, costs

    def _text(self, ids: Tensor) -> str:
        key = tuple(i for i in ids.tolist() if i > 2)
        if key not in self.texts:
            self.texts[key] = sentence_text(self.data.vocabulary, key)
        return self.texts[key]


@functools.lru_cache(maxsize=1 << 16)
def _tells(text: str, tag: str) -> bool:
    """Whether a sentence tells a tag, in the eyes of both the lexicon and the labeler."""
    return tag in lexicon.affirmed(text) and (tag not in CLASSES or bool(label(text)[tag]))


def _less_the_others(pay: Floats, real: Any) -> Floats:
    """(B, K, S) less the mean of the other copies that have the sentence; 0 where none has."""
    paid, count = pay * real, real.sum(1, keepdims=True)
    others = (paid.sum(1, keepdims=True) - paid) / np.maximum(count - 1, 1)
    return np.asarray(np.where(real & (count > 1), paid - others, 0), np.float32)
