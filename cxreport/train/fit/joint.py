"""To put images and texts into one space: contrastively, with all pairs that share a label as positives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cxreport.text.vocabulary import PAD, UNK
from cxreport.train.config import JointConfig
from cxreport.train.fit.metrics import auc_per_tag
from cxreport.train.networks.joint import JointSizes, JointSpace

_TEXTS = 96  # of each kind in a batch
_LOCAL_TEXTS = 16  # sentences in a batch that single patches have to show
_NORMAL = 0.3  # how much an image without a label counts against one with some; most images have none
_CONTRAST = 0.2  # weight of the contrastive losses against that of the findings' names
_LEAST_SPREAD = 0.25  # of a patch channel's deviation at its place, against the usual one
_EVERY = 4  # images that the patches' deviations are taken from


@dataclass(frozen=True, eq=False)
class JointImages:
    """N images: features (N, F), patches (N, P, D) in half precision, labels (N, T)."""

    features: Tensor
    patches: Tensor
    labels: Tensor


@dataclass(frozen=True, eq=False)
class JointTexts:
    """M texts: word ids (M, L) filled up with `PAD`, labels (M, T) that they state."""

    words: Tensor
    labels: Tensor


@dataclass(frozen=True, eq=False)
class JointData:
    """What is brought together: images, whole reports, sentences that state something, and the labels by name."""

    train: JointImages
    val: JointImages
    reports: JointTexts
    sentences: JointTexts
    names: Tensor
    """(T, L) word ids."""
    tags: tuple[str, ...]


def text_words(index: dict[str, int], texts: Sequence[Sequence[str]], longest: int = 128) -> Tensor:
    """(M, L) ids of tokenised texts, filled up with `PAD`."""
    rows = [torch.tensor([index.get(w, UNK) for w in text[:longest]] or [UNK]) for text in texts]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)


def new_space(config: JointConfig, data: JointData, words: int) -> JointSpace:
    """A joint space that standardises as the train images demand, with start values for the rest."""
    images = data.train
    patches, patch_dim = images.patches.shape[1:]
    space = JointSpace(_sizes(config, words, images.features.shape[1], patches, patch_dim), len(data.tags))
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
    features, (patches, patch_dim) = len(state["image.feature_mean"]), state["image.patch_mean"].shape
    words = len(state["text.embedding.weight"])
    space = JointSpace(_sizes(config, words, features, patches, patch_dim), tags)
    space.load_state_dict(state)
    return space.eval()


def _sizes(config: JointConfig, words: int, features: int, patches: int, patch_dim: int) -> JointSizes:
    inner = config.embedding, config.word_dim, config.hidden, config.patch_hidden
    return JointSizes(words, features, patches, patch_dim, *inner)


class JointTask:
    """Images next to names of their findings and to texts that share a label, texts next to names of what they state.

    Whole images and, as the log-mean-exp over their patches (Pinheiro & Collobert 2015), single patches: what names a
    finding has to be like some patch of an image that has it, and like no patch of one that does not.
    """

    def __init__(self, config: JointConfig, data: JointData, space: JointSpace) -> None:
        self.module, self._config, self._data = space, config, data

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return max(1, len(self._data.train.labels) // self._config.batch)

    def losses(self, rng: np.random.Generator) -> Iterator[Tensor]:
        """As `loop.Task` has it."""
        order, images = rng.permutation(len(self._data.train.labels)), self._data.train
        for step in range(self.steps):
            rows = torch.from_numpy(order[step * self._config.batch : (step + 1) * self._config.batch])
            labels = images.labels[rows]
            whole, patches = self.module.image(images.features[rows], images.patches[rows].float())
            names = self.module.text(self._data.names)
            reports, sentences = (_draw(t, rng) for t in (self._data.reports, self._data.sentences))
            told = self.module.text(sentences.words)
            loss = F.binary_cross_entropy_with_logits(self.module.likeness(whole, names), labels)
            scale, whole_texts = self.module.scale[1].exp(), self.module.text(reports.words)
            contrast = _contrast(scale * whole @ whole_texts.T, labels, reports.labels)
            contrast = contrast + _contrast(scale * whole @ told.T, labels, sentences.labels) / 2
            for texts, stated in ((whole_texts, reports.labels), (told, sentences.labels)):
                if len(texts):
                    said = self.module.likeness(texts, names, texts=True)
                    loss = loss + F.binary_cross_entropy_with_logits(said, stated) / 2
            yield loss + _CONTRAST * contrast + self._local(patches, labels, names, told, sentences.labels)

    def _local(self, patches: Tensor, labels: Tensor, names: Tensor, told: Tensor, stated: Tensor) -> Tensor:
        """Names and some sentences against single patches."""
        told, stated = told[:_LOCAL_TEXTS], stated[:_LOCAL_TEXTS]
        bias = self.module.local_bias
        of_names = F.binary_cross_entropy_with_logits(_most(patches, names) + bias, labels)
        if not len(told):
            return of_names
        likely = (stated @ bias) / stated.sum(1).clamp(min=1)
        shared = ((labels @ stated.T) > 0).float()
        return of_names + F.binary_cross_entropy_with_logits(_most(patches, told) + likely, shared) / 2

    def measure(self) -> dict[str, float]:
        """Mean AUC of val images ranked by their likeness to the findings' names."""
        val = self._data.val
        if not len(val.labels):
            return {}
        names, whole = self.module.text(self._data.names), self.module.image.embed(val.features)
        local = [
            _most(self.module.image.embed_patches(val.patches[i : i + 64].float()), names)
            for i in range(0, len(val.labels), 64)
        ]
        figures = {}
        for name, scores in (("whole", whole @ names.T), ("local", torch.cat(local))):
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


def _contrast(logits: Tensor, images: Tensor, texts: Tensor) -> Tensor:
    """Log-likelihood, in both directions, of all texts that share a label, or like the image have none.

    The sum over the positives, not their mean as in InfoNCE with several of them (Khosla et al. 2020): that would put
    the few texts of a rare finding before the many of a likelier one.

    Args:
        logits: (B, N) likeness.
        images: (B, T) labels.
        texts: (N, T) labels.
    """
    shared = ((images @ texts.T) > 0).float()
    neither = ((images.sum(1) == 0)[:, None] & (texts.sum(1) == 0)[None]).float()
    weights = torch.where(images.sum(1) > 0, 1.0, _NORMAL)
    positives = (shared + neither) * weights[:, None]
    total = positives.sum()
    if not total:
        return logits.sum() * 0
    likelihood = (positives * (logits.log_softmax(1) * logits.shape[0] + logits.log_softmax(0) * logits.shape[1])).sum()
    return -likelihood / total / (logits.shape[0] + logits.shape[1])
