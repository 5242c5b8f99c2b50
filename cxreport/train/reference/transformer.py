"""Transformer encoder-decoder of the shape of R2Gen (Chen et al. 2020) in eager PyTorch: what many would run instead.

Its weights are random: they do not change how long it takes. As research code does, it writes one report at a time, by
a beam search that reads the whole prefix again for every word.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import resnet101

_SIDE = 224
_CHANNELS = 2048
_START = 0
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, by which a ResNet takes its colours."""


@dataclass(frozen=True)
class TransformerSizes:
    """Sizes of the network; those of R2Gen on Open-I."""

    width: int = 512
    layers: int = 3
    """Of the encoder, and of the decoder."""
    heads: int = 8
    words: int = 760
    """Vocabulary."""
    length: int = 60
    """Words of a report."""
    beam: int = 3


class ReportTransformer(nn.Module):
    """ResNet-101 patches, a transformer encoder and a decoder."""

    def __init__(self, sizes: TransformerSizes = TransformerSizes()) -> None:
        super().__init__()
        self.sizes = sizes
        self.trunk = nn.Sequential(*list(resnet101(weights=None).children())[:-2])
        self.project = nn.Linear(_CHANNELS, sizes.width)
        self.embedding = nn.Embedding(sizes.words, sizes.width)
        self.positions = nn.Parameter(torch.zeros(sizes.length + 1, sizes.width))
        self.transformer = nn.Transformer(
            sizes.width, sizes.heads, sizes.layers, sizes.layers, sizes.width, batch_first=True
        )
        self.output = nn.Linear(sizes.width, sizes.words)
        self.eval()

    @torch.inference_mode()
    def write(self, pixels: Tensor) -> list[int]:
        """Write a report.

        Args:
            pixels: (h, w) grey values, 0 to 1.

        Returns:
            Ids of its words: as many as fit, as random weights know no end.
        """
        memory = self.transformer.encoder(self._patches(pixels))
        texts, scores = torch.full((1, 1), _START), torch.zeros(1)
        for _ in range(self.sizes.length):
            totals = scores[:, None] + self._next_word(memory.expand(len(texts), -1, -1), texts)
            scores, best = totals.flatten().topk(self.sizes.beam)
            row, word = best // self.sizes.words, best % self.sizes.words
            texts = torch.cat([texts[row], word[:, None]], dim=1)
        ids: list[int] = texts[0, 1:].tolist()
        return ids

    def _patches(self, pixels: Tensor) -> Tensor:
        """(1, 49, width) features of the patches."""
        image = functional.interpolate(pixels[None, None], (_SIDE, _SIDE), mode="bilinear", antialias=True)
        mean, deviation = (torch.tensor(values)[:, None, None] for values in (_MEAN, _DEVIATION))
        patches: Tensor = self.project(self.trunk((image - mean) / deviation).flatten(2).transpose(1, 2))
        return patches

    def _next_word(self, memory: Tensor, texts: Tensor) -> Tensor:
        """(beam, words) log-probabilities after texts that are read from their beginning."""
        length = texts.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        read = self.transformer.decoder(self.embedding(texts) + self.positions[:length], memory, tgt_mask=mask)
        return functional.log_softmax(self.output(read[:, -1]), dim=-1)
