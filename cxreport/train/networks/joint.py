"""The joint space of images and texts (Filipavicius et al. 2019): unit vectors, compared by cosine.

An image is embedded as a whole, from its mean patch, and patch by patch, from where the patch lies and from the finer
features of the two depths before the last, relu3_4 and relu4_4 of VGG-19: those of the last see too much at once to
tell where. A text is embedded as the gated mean of its words, each read with its neighbours, since "no effusion" is no
effusion; a word alone is a text too.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cxreport.text.vocabulary import PAD

_MOST = 5.0  # of a gate's logit
_WINDOW = 5  # words that a convolution sees; with the second one 13 in all


def joint_features(maps: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Features of an image to be embedded: the mean patch (B, D), and those of its finer patches (B, P, F).

    Args:
        maps: of `Encoder.maps`; a finer patch has what the depth before the last has at its place, and the means and
            maxima over its four places one depth earlier. With VGG-19 P is (S/8)^2 and F 1024.
    """
    fine, patches = maps[-3].float(), maps[-2].float()
    stacked = torch.cat([patches, F.avg_pool2d(fine, 2), F.max_pool2d(fine, 2)], 1)
    return maps[-1].mean((2, 3)).float(), stacked.flatten(2).transpose(1, 2)


@dataclass(frozen=True)
class JointSizes:
    """Shapes of the joint space."""

    words: int
    features: int
    """Of the whole image."""
    patches: int
    """Number of patches that are embedded."""
    patch_dim: int
    embedding: int = 512
    word_dim: int = 192
    hidden: int = 192
    patch_hidden: int = 64


class TextEncoder(nn.Module):
    """Word ids to a unit vector."""

    def __init__(self, sizes: JointSizes) -> None:
        super().__init__()
        self.embedding = nn.Embedding(sizes.words, sizes.word_dim)
        self.near = nn.Conv1d(sizes.word_dim, sizes.hidden, _WINDOW, padding=_WINDOW // 2)
        self.far = nn.Conv1d(sizes.hidden, sizes.hidden, _WINDOW, padding=_WINDOW // 2 * 2, dilation=2)
        self.gate = nn.Linear(sizes.hidden, 1)
        self.output = nn.Linear(sizes.hidden, sizes.embedding)
        self.dropout = nn.Dropout(0.2)
        nn.init.normal_(self.embedding.weight, std=0.1)

    def forward(self, words: Tensor) -> Tensor:
        """(N, T) int64, padded with `PAD` -> (N, E)."""
        mask = (words != PAD).unsqueeze(1).float()  # so that padding changes nothing
        vectors = self.dropout(self.embedding(words)).transpose(1, 2) * mask
        context = torch.tanh(self.near(vectors)) * mask
        context = (context + torch.tanh(self.far(context))).transpose(1, 2)
        weights = self.gate(context).clamp(-_MOST, _MOST).exp() * mask.transpose(1, 2)
        mean = (weights * context).sum(1) / weights.sum(1).clamp(min=1e-6)
        return F.normalize(self.output(mean), dim=1)


class ImageEncoder(nn.Module):
    """Features of the encoder's depths to a unit vector of the image and vectors of its patches, of any length."""

    feature_mean: Tensor
    feature_spread: Tensor
    patch_mean: Tensor
    patch_spread: Tensor

    def __init__(self, sizes: JointSizes) -> None:
        super().__init__()
        self.whole = nn.Linear(sizes.features, sizes.embedding)
        self.patch = nn.Linear(sizes.patch_dim, sizes.patch_hidden)
        self.patch_output = nn.Linear(sizes.patch_hidden, sizes.embedding)
        self.position = nn.Parameter(torch.zeros(sizes.patches, sizes.embedding))
        self.dropout = nn.Dropout(0.3)
        self.register_buffer("feature_mean", torch.zeros(sizes.features))
        self.register_buffer("feature_spread", torch.ones(sizes.features))
        self.register_buffer("patch_mean", torch.zeros(sizes.patches, sizes.patch_dim))
        self.register_buffer("patch_spread", torch.ones(sizes.patches, sizes.patch_dim))

    def forward(self, features: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Embed images.

        Args:
            features: (B, F) of whole images.
            patches: (B, P, D).

        Returns:
            (B, E) unit vectors and (B, P, E) vectors of any length.
        """
        return self.embed(features), self.embed_patches(patches)

    def embed(self, features: Tensor) -> Tensor:
        """(B, F) -> (B, E) unit vectors."""
        standard = (features - self.feature_mean) / self.feature_spread
        return F.normalize(self.whole(self.dropout(standard)), dim=1)

    def embed_patches(self, patches: Tensor) -> Tensor:
        """(B, P, D) -> (B, P, E)."""
        standard = (patches - self.patch_mean) / self.patch_spread
        if self.training:  # drops the same channels of all patches of an image, as these are much alike
            standard = standard * self.dropout(torch.ones_like(standard[:, :1]))
        hidden = torch.tanh(self.patch(standard))
        embedded: Tensor = self.patch_output(hidden) + self.position
        return embedded


class JointSpace(nn.Module):
    """Image and text encoder, with scales and biases that turn likeness into probabilities in training."""

    def __init__(self, sizes: JointSizes, tags: int) -> None:
        super().__init__()
        self.sizes = sizes
        self.image = ImageEncoder(sizes)
        self.text = TextEncoder(sizes)
        self.scale = nn.Parameter(torch.tensor([2.5, 2.5]))
        """Logarithms of the weight of a cosine: with names of findings, and with other texts."""
        self.bias = nn.Parameter(torch.full((2, tags), -3.0))
        self.local_bias = nn.Parameter(torch.full((tags,), -3.0))

    def likeness(self, embedded: Tensor, names: Tensor, texts: bool = False) -> Tensor:
        """(B, E) images, or texts, and (T, E) names of findings -> logits (B, T)."""
        return self.scale[0].exp() * embedded @ names.T + self.bias[int(texts)]
