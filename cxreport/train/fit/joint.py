"""The joint space's stage: images and texts, contrastively, with all pairs that share a label as positives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cxreport.train.config import JointConfig
from cxreport.train.data.joint_data import JointData, JointTexts
from cxreport.train.fit.auc import auc_per_tag
from cxreport.train.networks.joint import JointSizes, JointSpace

_TEXTS = 96  # of each kind in a batch
_LOCAL_TEXTS = 16  # sentences in a batch that single patches have to show
_NORMAL = 0.3  # weight of an image without a label against one with some; most images have none
_CONTRAST = 0.2  # weight of the contrastive losses against that of the findings' names
_LEAST_SPREAD = 0.25  # of a patch channel's deviation at its place, against the usual one
_EVERY = 4  # images that the patches' deviations are taken from


def new_space(config: JointConfig, data: JointData, words: int) -> JointSpace:
    """A joint space that standardises as the train images demand, with start values for the rest."""
    images = data.train
    patches, patch_dim = images.patches.shape[1:]
    sizes = JointSizes(
        words=words, features=images.features.shape[1], patches=patches, patch_dim=patch_dim, **_inner_sizes(config)
    )
    space = JointSpace(sizes, len(data.tags))
    space.image.feature_mean.copy_(images.features.mean(0))
    space.image.feature_spread.copy_(images.features.std(0) + 1e-3)
    for place in range(patches):
        space.image.patch_mean[place] = images.patches[:, place].float().mean(0)
        space.image.patch_spread[place] = images.patches[::_EVERY, place].float().std(0, correction=0)
    spread = space.image.patch_spread
    spread.add_(_LEAST_SPREAD * spread.mean() + 1e-6)
    return space


def load_space(config: JointConfig, state: dict[str, Tensor], tags: int) -> JointSpace:
    """A trained joint space."""
    patches, patch_dim = state["image.patch_mean"].shape
    sizes = JointSizes(
        words=len(state["text.embedding.weight"]),
        features=len(state["image.feature_mean"]),
        patches=patches,
        patch_dim=patch_dim,
        **_inner_sizes(config),
    )
    space = JointSpace(sizes, tags)
    space.load_state_dict(state)
    return space.eval()


def _inner_sizes(config: JointConfig) -> dict[str, int]:
    """Sizes that the recipe chooses."""
    return {name: getattr(config, name) for name in ("embedding", "word_dim", "hidden", "patch_hidden")}


class JointBatch(NamedTuple):
    """Images and texts of a step."""

    images: Tensor
    """(B,) int64 indices of train images."""
    reports: JointTexts
    sentences: JointTexts


class JointTask:
    """Images next to names of their findings and to texts that share a label, texts next to names of what they state.

    Whole images and, as the log-mean-exp over their patches (Pinheiro & Collobert 2015), single patches: what names a
    finding has to be like some patch of an image that has it, and like no patch of one that does not.
    """

    def __init__(self, config: JointConfig, data: JointData, space: JointSpace) -> None:
        self.module, self._config, self._data = space, config, data

    @property
    def steps(self) -> int:
        """Number of batches."""
        return max(1, len(self._data.train.labels) // self._config.batch)

    def batches(self, rng: np.random.Generator) -> Iterator[JointBatch]:
        """As `loop.Task` has it."""
        order, size = rng.permutation(len(self._data.train.labels)), self._config.batch
        for step in range(self.steps):
            images = torch.from_numpy(order[step * size : (step + 1) * size])
            yield JointBatch(images, _draw(self._data.reports, rng), _draw(self._data.sentences, rng))

    def loss(self, batch: JointBatch) -> Tensor:
        """Sum of the losses of findings' names, of likeness to texts, and of single patches."""
        images, labels = self._data.train, self._data.train.labels[batch.images]
        embedded, patches = self.module.image(images.features[batch.images], images.patches[batch.images].float())
        names, sentences = self.module.text(self._data.names), self.module.text(batch.sentences.words)
        loss = F.binary_cross_entropy_with_logits(self.module.likeness(embedded, names), labels)
        scale, reports = self.module.scale[1].exp(), self.module.text(batch.reports.words)
        contrast = _contrast(scale * embedded @ reports.T, labels, batch.reports.labels)
        contrast = contrast + _contrast(scale * embedded @ sentences.T, labels, batch.sentences.labels) / 2
        for texts, text_labels in ((reports, batch.reports.labels), (sentences, batch.sentences.labels)):
            if len(texts):
                likeness = self.module.likeness(texts, names, texts=True)
                loss = loss + F.binary_cross_entropy_with_logits(likeness, text_labels) / 2
        local = self._local_names(patches, labels, names)
        local_texts, local_labels = sentences[:_LOCAL_TEXTS], batch.sentences.labels[:_LOCAL_TEXTS]
        if len(local_texts):
            local = local + self._local_sentences(patches, labels, local_texts, local_labels) / 2
        return loss + _CONTRAST * contrast + local

    def _local_names(self, patches: Tensor, labels: Tensor, names: Tensor) -> Tensor:
        """Loss of the findings' names (T, E) against single patches."""
        return F.binary_cross_entropy_with_logits(_most(patches, names) + self.module.local_bias, labels)

    def _local_sentences(self, patches: Tensor, labels: Tensor, sentences: Tensor, stated: Tensor) -> Tensor:
        """Loss of sentences (N, E), which state labels (N, T), against single patches."""
        bias = (stated @ self.module.local_bias) / stated.sum(1).clamp(min=1)
        shared = _shared(labels, stated)
        return F.binary_cross_entropy_with_logits(_most(patches, sentences) + bias, shared)

    def measure(self) -> dict[str, float]:
        """Mean AUC of val images ranked by their likeness to the findings' names."""
        val = self._data.val
        if not len(val.labels):
            return {}
        names, embedded = self.module.text(self._data.names), self.module.image.embed(val.features)
        local = [
            _most(self.module.image.embed_patches(val.patches[i : i + 64].float()), names)
            for i in range(0, len(val.labels), 64)
        ]
        figures = {}
        for name, scores in (("whole", embedded @ names.T), ("local", torch.cat(local))):
            auc = auc_per_tag(scores.numpy(), val.labels.numpy(), self._data.tags)
            figures[f"val_auc_{name}"] = round(float(auc["mean"]), 4)
        return figures


def _draw(texts: JointTexts, rng: np.random.Generator) -> JointTexts:
    rows = torch.from_numpy(rng.permutation(len(texts.labels))[:_TEXTS])
    return JointTexts(texts.words[rows], texts.labels[rows])


def _most(patches: Tensor, texts: Tensor) -> Tensor:
    """(B, P, E) and (N, E) -> (B, N): a smooth maximum of the patches' likeness to each text."""
    likeness = patches @ texts.T
    return likeness.logsumexp(1) - float(np.log(patches.shape[1]))


def _shared(images: Tensor, texts: Tensor) -> Tensor:
    """Probability (B, N) that an image with labels (B, T), soft or not, has one that a text (N, T) states."""
    return 1 - (1 - images[:, None] * texts[None]).prod(2)


def _contrast(logits: Tensor, images: Tensor, texts: Tensor) -> Tensor:
    """Log-likelihood, in both directions, of all texts that share a label, or like the image have none.

    The sum over the positives, not their mean as in InfoNCE with several of them (Khosla et al. 2020): that would put
    the few texts of a rare finding before the many of a likelier one.

    Args:
        logits: (B, N) likeness.
        images: (B, T) labels, which may be soft.
        texts: (N, T) labels, 0 or 1.
    """
    normal = (1 - images).prod(1)
    neither = normal[:, None] * (texts.sum(1) == 0).float()
    weights = 1 - (1 - _NORMAL) * normal
    positives = (_shared(images, texts) + neither) * weights[:, None]
    total = positives.sum()
    if not total:
        return logits.sum() * 0
    likelihood = (positives * (logits.log_softmax(1) * logits.shape[0] + logits.log_softmax(0) * logits.shape[1])).sum()
    return -likelihood / total / (logits.shape[0] + logits.shape[1])
