"""Stages 2 to 4: the decoder, from tags alone, with patch features, and on consensus reports."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cxreport.bundle import NO_WORD, PAD, UNK
from cxreport.train import checkpoints
from cxreport.train.batches import Batch, Batches, DecoderData, Images
from cxreport.train.config import DecoderConfig
from cxreport.train.decoder import Decoder
from cxreport.train.progress import Progress
from cxreport.train.text import ConsensusReport


class Losses(NamedTuple):
    """Of the words, the stop decisions and the sections."""

    words: Tensor
    stop: Tensor
    section: Tensor


def fit_decoder(
    config: DecoderConfig,
    data: DecoderData,
    decoder: Decoder,
    images: Images | None,
    run: Path,
    stage: str,
    progress: Progress,
    seed: int,
    consensus: Sequence[ConsensusReport] = (),
) -> Decoder:
    """Train the decoder for one stage, or go on where ``run/<stage>.last.pt`` stopped; the result is ``<stage>.pt``.

    Args:
        config: the recipe's ``[decoder]``.
        data: reports, tags and vocabulary.
        decoder: start values.
        images: patch features for the image stage; None trains from tags alone.
        run: folder of checkpoints.
        stage: name of the files and of the log lines.
        progress: told of every step and epoch.
        seed: of shuffling and noise.
        consensus: reports to write in place of the radiologists'.
    """
    done_path, last_path = run / f"{stage}.pt", run / f"{stage}.last.pt"
    if done_path.exists():
        decoder.load_state_dict(torch.load(done_path, weights_only=True))
        return decoder.eval()
    trainer = _Trainer(config, data, decoder, images, stage, progress, seed, consensus)
    if last_path.exists():
        trainer.load(torch.load(last_path, weights_only=True))
    trainer.run(last_path)
    checkpoints.save(decoder.state_dict(), done_path)
    last_path.unlink(missing_ok=True)
    return decoder.eval()


class _Trainer:
    def __init__(
        self,
        config: DecoderConfig,
        data: DecoderData,
        decoder: Decoder,
        images: Images | None,
        stage: str,
        progress: Progress,
        seed: int,
        consensus: Sequence[ConsensusReport],
    ) -> None:
        self.config, self.data, self.decoder, self.images = config, data, decoder, images
        self.consensus = consensus
        self.batches = Batches(config, data, images, decoder.sizes.patch_dim)
        self.stage, self.progress, self.seed = stage, progress, seed
        if consensus:
            self.epochs, lr = config.consensus_epochs, config.lr
        else:
            self.epochs, lr = (config.image_epochs, config.lr / 3) if images else (config.epochs, config.lr)
        self.steps = math.ceil(len(consensus or data.train) / config.batch)
        self.optimiser = torch.optim.AdamW(decoder.parameters(), lr, weight_decay=config.weight_decay)
        total = self.epochs * self.steps
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser, lambda s: min(1.0, (s + 1) / 50) * (0.02 + 0.49 * (1 + math.cos(math.pi * s / (total + 1))))
        )
        self.epoch = 0

    def load(self, state: dict[str, Any]) -> None:
        self.decoder.load_state_dict(state["decoder"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.epoch = state["epoch"]

    def run(self, checkpoint: Path) -> None:
        while self.epoch < self.epochs:
            start = time.monotonic()
            loss = self._train_epoch()
            figures = {"epoch": self.epoch + 1, "loss": round(loss, 4)} | self._measure()
            self.progress.epoch(self.stage, figures | {"seconds": round(time.monotonic() - start)})
            self.epoch += 1
            state = {
                "decoder": self.decoder.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "schedule": self.schedule.state_dict(),
                "epoch": self.epoch,
            }
            checkpoints.save(state, checkpoint)

    def _train_epoch(self) -> float:
        rng = np.random.default_rng((self.seed, self.epoch))
        torch.manual_seed(self.seed + self.epoch)
        order = rng.permutation(len(self.consensus or self.data.train))
        partner = self.images.partner(rng) if self.images else [-1] * len(self.data.train)
        self.decoder.train()
        mean = 0.0
        for step in range(self.steps):
            rows = order[step * self.config.batch : (step + 1) * self.config.batch]
            hidden = rng.random(len(rows)) < self.config.visual_dropout
            reports = [self.consensus[i].index for i in rows] if self.consensus else rows
            pictures = [-1 if h else partner[i] for i, h in zip(reports, hidden, strict=True)]
            if self.consensus:
                batch = self.batches.make_planned([self.consensus[i] for i in rows], pictures)
            else:
                batch = self.batches.make([self.data.train[i] for i in rows], pictures, rng)
            losses = sentence_losses(self.decoder, batch, self.config.label_smoothing)
            loss = losses.words + losses.stop + losses.section
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.decoder.parameters(), 1.0)
            self.optimiser.step()
            self.schedule.step()
            mean += (float(loss.detach()) - mean) / (step + 1)
            self.progress.step(self.stage, self.epoch * self.steps + step + 1, self.epochs * self.steps, mean)
        return mean

    @torch.inference_mode()
    def _measure(self) -> dict[str, float]:
        """Losses on val, from the reports' own tags without an image."""
        self.decoder.eval()
        rng, sums = np.random.default_rng(self.seed), np.zeros(3)
        batches = range(0, len(self.data.val), self.config.batch)
        for i in batches:
            reports = self.data.val[i : i + self.config.batch]
            batch = self.batches.make(reports, [-1] * len(reports), rng, noise=False)
            losses = sentence_losses(self.decoder, batch, 0.0)
            sums += [float(x) for x in losses]
        words, stop, section = (sums / max(1, len(batches))).round(4)
        return {"val_words": float(words), "val_stop": float(stop), "val_section": float(section)}


def sentence_losses(decoder: Decoder, batch: Batch, label_smoothing: float) -> Losses:
    """Losses of a batch of written reports, each per decision."""
    topics, stop, section = decoder.topics(
        batch.patches, batch.has_image, batch.tags, batch.unusual, batch.plans, batch.details, batch.sections
    )
    real = batch.real.float()
    logits, targets, rows = unroll_words(decoder, topics[batch.real], batch.words[batch.real])
    smoothing = label_smoothing if decoder.training else 0.0
    known = targets != UNK
    each = F.cross_entropy(logits[known], targets[known], label_smoothing=smoothing, reduction="none")
    weight = batch.weight[batch.real][rows[known]]
    word_loss = (each * weight).sum() / weight.sum()
    stop_loss = F.binary_cross_entropy_with_logits(stop, batch.last, real)
    inner = real[:, 1:]  # the section of the next sentence, where there is one
    next_section = F.binary_cross_entropy_with_logits(section[:, :-1], batch.sections[:, 1:].float(), inner)
    return Losses(word_loss, stop_loss, next_section if inner.numel() else stop_loss * 0)


def unroll_words(decoder: Decoder, topics: Tensor, words: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Unroll the word LSTM under teacher forcing, leaving out sentences that have ended.

    Args:
        decoder: whose word LSTM it is.
        topics: (N, hidden).
        words: (N, T) int64, filled up with `PAD`.

    Returns:
        logits (L, V), targets (L,) and rows (L,) of the L words that are no filling.
    """
    lengths = (words != PAD).sum(1)
    order = lengths.argsort(descending=True)
    topics, words, lengths = topics[order], words[order], lengths[order]
    state, before = decoder.start(len(topics)), None
    logits, targets, rows = [], [], []
    for t in range(int(lengths[0])):
        alive = int((lengths > t).sum())
        state = type(state)(state.hidden[:alive], state.cell[:alive])
        previous = torch.full_like(words[:alive, 0], NO_WORD) if before is None else before[:alive]
        step, state = decoder.word(topics[:alive], previous, state)
        logits.append(step)
        targets.append(words[:alive, t])
        rows.append(order[:alive])
        before = words[:, t]
    return torch.cat(logits), torch.cat(targets), torch.cat(rows)
