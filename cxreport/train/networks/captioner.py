"""CNN-RNN and soft attention, the captioning architectures: a whole report as one sequence of words.

Both take (N, P, D) patch features and have the same steps, so that one loop trains them and one graph exports them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cxreport.text.vocabulary import NO_WORD, PAD
from cxreport.train.networks.decoder import Attention, State

Items = tuple[Tensor, ...]
"""What every step reads of N images, (N, ...) each: computed once per text, and cut where texts end."""
_MEMORY = 1.0
"""Added to the forget gate's bias at the start (Jozefowicz et al. 2015): what is seen before the first word is still
there when it is told."""


class Unrolled(NamedTuple):
    """Texts under teacher forcing, L words in all."""

    logits: Tensor
    """(L, words)"""
    targets: Tensor
    """(L,)"""
    attention: Tensor | None
    """(N, P) mean attention over each text, in the order of ``logits``; None without attention."""


@dataclass(frozen=True)
class CaptionerSizes:
    """Shapes of a captioner."""

    words: int
    patch_dim: int = 512
    hidden: int = 512
    word_dim: int = 192
    attention: int = 128
    places: int = 0
    """Patches whose places are learned; 0 leaves them a set, as in the papers, where only the features tell places."""
    word_queries: bool = False
    """Soft attention: the previous word takes part in the choice of patches; in the paper the state alone."""


class Captioner(nn.Module, ABC):
    """The common part of both: word embeddings, dropout, the LSTM's size, training passes."""

    attends: bool

    def __init__(self, sizes: CaptionerSizes, inputs: int) -> None:
        super().__init__()
        self.sizes = sizes
        self.norm = nn.LayerNorm(sizes.patch_dim)
        self.embedding = nn.Embedding(sizes.words, sizes.word_dim)
        self.lstm = nn.LSTMCell(inputs, sizes.hidden)
        self.output = nn.Linear(sizes.hidden, sizes.word_dim)
        self.bias = nn.Parameter(torch.zeros(sizes.words))
        self.dropout = nn.Dropout(0.3)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.lstm.bias_ih.data[sizes.hidden : 2 * sizes.hidden] += _MEMORY
        self.place = nn.Parameter(_coordinates(sizes.places, sizes.patch_dim)) if sizes.places else None

    def standard(self, patches: Tensor) -> Tensor:
        """(N, P, D) -> (N, P, D) standardised, with their places where these are learned."""
        standard: Tensor = self.norm(patches)
        return standard if self.place is None else standard + self.place

    @abstractmethod
    def items(self, patches: Tensor) -> Items:
        """(N, P, D) patch features -> the input of every step."""

    @abstractmethod
    def step(self, items: Items, word: Tensor, state: State) -> tuple[Tensor, Tensor | None, State]:
        """One word, as `forward`, but with the output layer's input (N, word_dim) in place of logits."""

    def forward(self, items: Items, word: Tensor, state: State) -> tuple[Tensor, Tensor | None, State]:
        """One word.

        Args:
            items: of `items`.
            word: (N,) int64, the previous word, or `NO_WORD` at the start.
            state: of the LSTM; zeros at the start.

        Returns:
            logits (N, words), attention (N, P) or None, and the next state.
        """
        hidden, attention, state = self.step(items, word, state)
        return self.logits(hidden), attention, state

    def start(self, batch: int) -> State:
        """Zero state."""
        zeros = self.bias.new_zeros(batch, self.sizes.hidden)
        return State(zeros, zeros)

    def words(self, patches: Tensor, words: Tensor) -> Unrolled:
        """Unroll under teacher forcing, without the texts that have ended.

        Args:
            patches: (N, P, D).
            words: (N, T) int64, filled up with `PAD`.
        """
        lengths = (words != PAD).sum(1)
        order = lengths.argsort(descending=True, stable=True)
        items, words, lengths = tuple(item[order] for item in self.items(patches)), words[order], lengths[order]
        state, previous = self.start(len(words)), torch.full_like(words[:, 0], NO_WORD)
        outputs, targets, weights = [], [], []
        for t in range(int(lengths[0])):
            alive = int((lengths > t).sum())
            if alive < len(state.hidden):  # else the backward pass would copy all patches at every word
                items, state = tuple(item[:alive] for item in items), State(state.hidden[:alive], state.cell[:alive])
            output, attention, state = self.step(items, previous[:alive], state)
            outputs.append(output)
            targets.append(words[:alive, t])
            if attention is not None:
                weights.append(F.pad(attention, (0, 0, 0, len(words) - alive)))
            previous = words[:, t]
        mean = torch.stack(weights).sum(0) / lengths.unsqueeze(1) if weights else None
        return Unrolled(self.logits(torch.cat(outputs)), torch.cat(targets), mean)

    def logits(self, output: Tensor) -> Tensor:
        """(N, word_dim) -> logits (N, words); input and output embeddings are tied."""
        return output @ self.embedding.weight.t() + self.bias


class CnnRnn(Captioner):
    """The image's mean patch is the LSTM's first input, then the words (Vinyals et al. 2015)."""

    attends = False

    def __init__(self, sizes: CaptionerSizes) -> None:
        super().__init__(sizes, sizes.word_dim)
        self.image = nn.Linear(sizes.patch_dim, sizes.word_dim)
        self.mix = nn.Linear(sizes.patch_dim, sizes.patch_dim) if sizes.places else None
        self.mean_norm = nn.LayerNorm(sizes.patch_dim) if sizes.places else None

    def items(self, patches: Tensor) -> Items:
        """(N, P, D) -> (N, D): the mean patch; where places are learned, after a layer that sees each in its place."""
        if self.mix is None or self.mean_norm is None:
            return (self.norm(patches.mean(1)),)
        strongest = torch.relu(self.mix(self.standard(patches))).amax(1)
        return (self.mean_norm(strongest),)  # in a mean, what is found in few of many patches hardly shows

    def step(self, items: Items, word: Tensor, state: State) -> tuple[Tensor, Tensor | None, State]:
        """As in `Captioner`."""
        (mean,) = items
        first = (word == NO_WORD).unsqueeze(1)
        inputs = torch.where(first, self.image(mean), self.embedding(word.clamp(min=0)))
        hidden, cell = self.lstm(self.dropout(inputs), state)
        return self.output(self.dropout(hidden)), None, State(hidden, cell)


class SoftAttention(Captioner):
    """A gated weighted mean of the patches at every word (Xu et al. 2015): eq. 4 to 9, section 4.2.1, deep output."""

    attends = True

    def __init__(self, sizes: CaptionerSizes) -> None:
        super().__init__(sizes, sizes.word_dim + sizes.patch_dim)
        query = sizes.hidden + (sizes.word_dim if sizes.word_queries else 0)
        self.attention = Attention(sizes.patch_dim, query, sizes.attention)
        self.start_word = nn.Parameter(torch.zeros(sizes.word_dim))
        self.first_hidden = nn.Linear(sizes.patch_dim, sizes.hidden)
        self.first_cell = nn.Linear(sizes.patch_dim, sizes.hidden)
        self.gate = nn.Linear(sizes.hidden, 1)
        self.context = nn.Linear(sizes.patch_dim, sizes.word_dim, bias=False)

    def items(self, patches: Tensor) -> Items:
        """(N, P, D) -> (N, P, D) standardised patches, (N, P, A) their keys of the attention, (N, D) their mean."""
        standard = self.standard(patches)
        return standard, self.attention.item(standard), standard.mean(1)

    def step(self, items: Items, word: Tensor, state: State) -> tuple[Tensor, Tensor | None, State]:
        """As in `Captioner`."""
        patches, keys, mean = items
        first = (word == NO_WORD).unsqueeze(1)
        hidden = torch.where(first, torch.tanh(self.first_hidden(mean)), state.hidden)
        cell = torch.where(first, torch.tanh(self.first_cell(mean)), state.cell)
        previous = torch.where(first, self.start_word, self.embedding(word.clamp(min=0)))
        query = torch.cat([hidden, previous], 1) if self.sizes.word_queries else hidden
        weights = self.attention.weigh(keys, query)
        context = (weights.unsqueeze(2) * patches).sum(1)
        context = self.gate(hidden).sigmoid() * context
        hidden, cell = self.lstm(torch.cat([self.dropout(previous), context], 1), (hidden, cell))
        output = previous + self.output(self.dropout(hidden)) + self.context(context)
        return self.dropout(output), weights, State(hidden, cell)


def _coordinates(places: int, dim: int) -> Tensor:
    """Start values (P, D) of the places of a square grid: row and column, each along a direction of its own.

    As the coordinates of Liu et al. 2018, from -1 to 1, as large as the features at the edges: "to the left" is
    a half-space from the first step on, where from zeros every place would have to learn its own.
    """
    ramp = torch.linspace(-1, 1, math.isqrt(places))
    down, across = torch.randn(2, dim)
    grid: Tensor = ramp.view(-1, 1, 1) * down + ramp.view(1, -1, 1) * across
    return grid.flatten(0, 1)


def make_captioner(architecture: str, sizes: CaptionerSizes) -> Captioner:
    """A captioner with start values."""
    return CnnRnn(sizes) if architecture == "cnn-rnn" else SoftAttention(sizes)
