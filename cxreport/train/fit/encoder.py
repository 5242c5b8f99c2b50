"""Stage 1: the encoder and its tag head, on images with labels."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from cxreport.datasets.nih import LabelledImages
from cxreport.train.config import EncoderConfig, Phase
from cxreport.train.fit import checkpoints
from cxreport.train.fit.metrics import auc_per_tag
from cxreport.train.networks.build import new_encoder
from cxreport.train.networks.encoder import Encoder, augment, to_input
from cxreport.train.progress import Progress

_CHECKPOINT_STEPS = 100


@dataclass(frozen=True)
class EncoderData:
    """``train`` and ``val`` at full size; ``small`` holds images whose originals are smaller than the network input."""

    tags: tuple[str, ...]
    """Names of the labels."""
    train: LabelledImages
    small: LabelledImages | None
    val: LabelledImages


def fit_encoder(
    config: EncoderConfig,
    data: EncoderData,
    imagenet: Path | None,
    run: Path,
    progress: Progress,
    seed: int,
) -> Encoder:
    """Fine-tune the encoder, or go on where ``run/encoder.last.pt`` stopped; the result lies in ``run/encoder.pt``.

    Args:
        config: the recipe's ``[encoder]``.
        data: images and labels.
        imagenet: convolutions to start from, or None for random ones.
        run: folder of checkpoints.
        progress: told of every step and epoch.
        seed: of shuffling, augmentation and initial values.
    """
    torch.manual_seed(seed)
    encoder = new_encoder(config, len(data.tags))
    if imagenet is not None:
        encoder.features.load_start_weights(imagenet)
    done_path, last_path = run / "encoder.pt", run / "encoder.last.pt"
    if done_path.exists():
        encoder.load_state_dict(torch.load(done_path, weights_only=True))
        return encoder.eval()
    _start_head(encoder, data.train.labels)
    encoder.to(memory_format=torch.channels_last)
    trainer = _Trainer(config, data, encoder, progress, seed)
    if last_path.exists():
        trainer.load(torch.load(last_path, weights_only=True))
    trainer.run(last_path)
    encoder.load_state_dict(trainer.average)
    checkpoints.save(encoder.state_dict(), done_path)
    last_path.unlink(missing_ok=True)
    return encoder.eval()


def _start_head(encoder: Encoder, labels: NDArray[np.float32]) -> None:
    """Start at the prevalences, so that the first steps do not undo the pretrained filters."""
    prior = torch.from_numpy(labels.mean(0)).clamp(1e-3, 1 - 1e-3)
    with torch.no_grad():
        encoder.tag_head.weight.mul_(0.05)
        encoder.tag_head.bias.copy_(prior.logit())


class _Trainer:
    """Optimiser, moving average and position; all of it in one checkpoint."""

    def __init__(
        self,
        config: EncoderConfig,
        data: EncoderData,
        encoder: Encoder,
        progress: Progress,
        seed: int,
    ) -> None:
        self.config, self.data, self.seed = config, data, seed
        self.encoder, self.progress = encoder, progress
        parameters = encoder.parameter_groups()
        groups = [
            {"params": parameters.early, "lr": config.lr_low},
            {"params": parameters.late, "lr": config.lr},
            {"params": parameters.head, "lr": config.lr_head},
        ]
        self.optimiser = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
        self.steps = [p.images // config.batch for p in config.phases]
        total = sum(self.steps)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser,
            lambda step: min(1.0, (step + 1) / config.warmup) * (0.5 + 0.5 * math.cos(math.pi * step / (total + 1))),
        )
        self.average = {k: v.clone() for k, v in encoder.state_dict().items()}
        self.phase, self.step = 0, 0
        self.bf16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()  # without such units it would be emulated, slowly

    def _images(self, phase: Phase) -> LabelledImages:
        return self.data.train + self.data.small if phase.small and self.data.small else self.data.train

    def load(self, state: dict[str, Any]) -> None:
        self.encoder.load_state_dict(state["encoder"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.average = state["average"]
        self.phase, self.step = state["phase"], state["step"]

    def _save(self, path: Path) -> None:
        state = {
            "encoder": self.encoder.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "average": self.average,
            "phase": self.phase,
            "step": self.step,
        }
        checkpoints.save(state, path)

    def run(self, checkpoint: Path) -> None:
        while self.phase < len(self.config.phases):
            start = time.monotonic()
            loss = self._train_phase(checkpoint)
            figures = self._measure() | {"loss": round(loss, 4), "seconds": round(time.monotonic() - start)}
            self.progress.epoch("encoder", {"phase": self.phase + 1, **asdict(self._config), **figures})
            self.phase, self.step = self.phase + 1, 0
            self._save(checkpoint)

    @property
    def _config(self) -> Phase:
        return self.config.phases[self.phase]

    def _train_phase(self, checkpoint: Path) -> float:
        images, batch = self._images(self._config), self.config.batch
        rng = np.random.default_rng((self.seed, self.phase))
        passes = -(-self._config.images // len(images))
        order = np.concatenate([rng.permutation(len(images)) for _ in range(passes)])
        first, mean_loss = self.step, 0.0
        self.encoder.train()
        while self.step < self.steps[self.phase]:
            rows = order[self.step * batch : (self.step + 1) * batch]
            generator = torch.Generator().manual_seed(self.seed + self.phase * 1_000_003 + self.step)
            grey = to_input(images.pixels[rows])
            grey = augment(grey, self._config.size, generator, self.config.flip)
            labels = torch.from_numpy(images.labels[rows])
            if (alpha := self._config.mixup) > 0:
                share = np.random.default_rng((self.seed, self.phase, self.step)).beta(alpha, alpha)
                grey, labels = grey.lerp(grey.flip(0), share), labels.lerp(labels.flip(0), share)
            loss = self._update(grey, labels)
            self.step += 1
            mean_loss += (loss - mean_loss) * max(1 / (self.step - first), 0.005)
            self.progress.step("encoder", sum(self.steps[: self.phase]) + self.step, sum(self.steps), mean_loss)
            if self.step % _CHECKPOINT_STEPS == 0:
                self._save(checkpoint)
        return mean_loss

    def _update(self, grey: Tensor, labels: Tensor) -> float:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            _, logits, _ = self.encoder(grey)
        loss = F.binary_cross_entropy_with_logits(logits, labels)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.encoder.parameters(), 1.0)
        self.optimiser.step()
        self.schedule.step()
        decay = min(self.config.ema, 1 - 1 / (self.schedule.last_epoch + 1))
        with torch.no_grad():
            for name, value in self.encoder.state_dict().items():
                average = self.average[name]
                if average.is_floating_point():
                    average.lerp_(value, 1 - decay)
                else:
                    average.copy_(value)
        return float(loss.detach())

    def _measure(self) -> dict[str, Any]:
        """AUC of the averaged weights on val, at the size of the phase."""
        kept = {k: v.clone() for k, v in self.encoder.state_dict().items()}
        self.encoder.load_state_dict(self.average)
        val = self.data.val
        scores = tag_probabilities(self.encoder, val.pixels, self._config.size)
        self.encoder.load_state_dict(kept)
        figures = auc_per_tag(scores, val.labels, self.data.tags)
        return {"val_auc": {k: round(v, 4) for k, v in figures.items()}}


@torch.inference_mode()
def encode_all(
    encoder: Encoder, pixels: NDArray[np.uint8], size: int | None = None, batch: int = 32
) -> tuple[Tensor, Tensor]:
    """Encode many images, shrunk to ``size`` if given: patch features (N, P, 512) in half precision, logits (N, T)."""
    encoder.eval()
    patches, logits = [], []
    for i in range(0, len(pixels), batch):
        grey = to_input(pixels[i : i + batch])
        if size and size < grey.shape[-1]:
            grey = F.interpolate(grey, size=(size, size), mode="area")
        features, tag_logits, _ = encoder(grey)
        patches.append(features.half())
        logits.append(tag_logits)
    return torch.cat(patches), torch.cat(logits)


def tag_probabilities(encoder: Encoder, pixels: NDArray[np.uint8], size: int | None = None) -> NDArray[np.float32]:
    """Tag probabilities (N, 14) of (N, S, S) images."""
    _, logits = encode_all(encoder, pixels, size)
    return logits.sigmoid().numpy()
