"""The captioning architectures, which write a whole report as one sequence: CNN-RNN and soft attention.

Both take (N, P, D) patch features and have the same steps, so that one loop trains them and one graph exports them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cxreport.text.vocabulary import NO_WORD, PAD
from cxreport.train.networks.decoder import Attention, State


class Unrolled(NamedTuple):
    """Texts under teacher forcing, L words in all."""

    logits: Tensor
    """(L, words)"""
    targets: Tensor
    """(L,)"""
    looked: Tensor | None
    """(N, P) the mean attention over each text, in no order; None without attention."""


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


class Captioner(nn.Module):
    """What both share: word embeddings, dropout, the LSTM's size, training passes."""

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
        self.place = nn.Parameter(torch.zeros(sizes.places, sizes.patch_dim)) if sizes.places else None

    def placed(self, patches: Tensor) -> Tensor:
        """(N, P, D) -> (N, P, D) standardised, with their places where these are learned."""
        standard: Tensor = self.norm(patches)
        return standard if self.place is None else standard + self.place

    def seen(self, patches: Tensor) -> Tensor:
        """(N, P, D) patch features -> what a step takes of them."""
        raise NotImplementedError

    def read(self, seen: Tensor, word: Tensor, state: State) -> tuple[Tensor, Tensor | None, State]:
        """One word, as `forward`, but with what the scores are made of (N, word_dim) in place of them."""
        raise NotImplementedError

    def forward(self, seen: Tensor, word: Tensor, state: State) -> tuple[Tensor, Tensor | None, State]:
        """One word.

        Args:
            seen: of `seen`.
            word: (N,) int64, the word before, or `NO_WORD` at the start.
            state: of the LSTM; zeros at the start.

        Returns:
            logits (N, words), attention (N, P) or None, and the next state.
        """
        read, attention, state = self.read(seen, word, state)
        return self.scores(read), attention, state

    def start(self, batch: int) -> State:
        """Zero state."""
        zeros = self.bias.new_zeros(batch, self.sizes.hidden)
        return State(zeros, zeros)

    def words(self, patches: Tensor, words: Tensor) -> Unrolled:
        """Unroll under teacher forcing, leaving out texts that have ended.

        Args:
            patches: (N, P, D).
            words: (N, T) int64, filled up with `PAD`.
        """
        lengths = (words != PAD).sum(1)
        order = lengths.argsort(descending=True, stable=True)
        seen, words, lengths = self.seen(patches)[order], words[order], lengths[order]
        state, before = self.start(len(words)), torch.full_like(words[:, 0], NO_WORD)
        reads, targets, weights = [], [], []
        for t in range(int(lengths[0])):
            alive = int((lengths > t).sum())
            state = State(state.hidden[:alive], state.cell[:alive])
            read, attention, state = self.read(seen[:alive], before[:alive], state)
            reads.append(read)
            targets.append(words[:alive, t])
            if attention is not None:
                weights.append(F.pad(attention, (0, 0, 0, len(words) - alive)))
            before = words[:, t]
        looked = torch.stack(weights).sum(0) / lengths.unsqueeze(1) if weights else None
        return Unrolled(self.scores(torch.cat(reads)), torch.cat(targets), looked)

    def scores(self, read: Tensor) -> Tensor:
        """(N, word_dim) -> logits (N, words); input and output embeddings are tied."""
        return read @ self.embedding.weight.t() + self.bias


class CnnRnn(Captioner):
    """The image's mean patch is the LSTM's first input, then the words (Vinyals et al. 2015)."""

    attends = False

    def __init__(self, sizes: CaptionerSizes) -> None:
        super().__init__(sizes, sizes.word_dim)
        self.image = nn.Linear(sizes.patch_dim, sizes.word_dim)

        self.mix = nn.Linear(sizes.patch_dim, sizes.patch_dim) if sizes.places else None

    def seen(self, patches: Tensor) -> Tensor:
        """(N, P, D) -> (N, D): the mean patch; where places are learned, of what a layer makes of each patch there."""
        if self.mix is None:
            mean: Tensor = self.norm(patches.mean(1))
            return mean
        return torch.relu(self.mix(self.placed(patches))).mean(1)

    def read(self, seen: Tensor, word: Tensor, state: State) -> tuple[Tensor, Tensor | None, State]:
        """As in `Captioner`."""
        first = (word == NO_WORD).unsqueeze(1)
        inputs = torch.where(first, self.image(seen), self.embedding(word.clamp(min=0)))
        hidden, cell = self.lstm(self.dropout(inputs), state)
        return self.output(self.dropout(hidden)), None, State(hidden, cell)


class SoftAttention(Captioner):
    """At every word a gated weighted mean of the patches (Xu et al. 2015): eq. 4 to 9, section 4.2.1, deep output."""

    attends = True

    def __init__(self, sizes: CaptionerSizes) -> None:
        super().__init__(sizes, sizes.word_dim + sizes.patch_dim)
        self.attention = Attention(sizes.patch_dim, sizes.hidden, sizes.attention)
        self.start_word = nn.Parameter(torch.zeros(sizes.word_dim))
        self.first_hidden = nn.Linear(sizes.patch_dim, sizes.hidden)
        self.first_cell = nn.Linear(sizes.patch_dim, sizes.hidden)
        self.gate = nn.Linear(sizes.hidden, 1)
        self.context = nn.Linear(sizes.patch_dim, sizes.word_dim, bias=False)

    def seen(self, patches: Tensor) -> Tensor:
        """(N, P, D) -> (N, P, D + A): standardised, and behind each patch what attention compares it by."""
        standard = self.placed(patches)
        return torch.cat([standard, self.attention.item(standard)], 2)

    def read(self, seen: Tensor, word: Tensor, state: State) -> tuple[Tensor, Tensor | None, State]:
        """As in `Captioner`."""
        first = (word == NO_WORD).unsqueeze(1)
        patches, keys = seen[..., : self.sizes.patch_dim], seen[..., self.sizes.patch_dim :]
        mean = patches.mean(1)
        hidden = torch.where(first, torch.tanh(self.first_hidden(mean)), state.hidden)
        cell = torch.where(first, torch.tanh(self.first_cell(mean)), state.cell)
        weights = self.attention.weigh(keys, hidden)
        context = (weights.unsqueeze(2) * patches).sum(1)
        context = self.gate(hidden).sigmoid() * context
        before = torch.where(first, self.start_word, self.embedding(word.clamp(min=0)))
        hidden, cell = self.lstm(torch.cat([self.dropout(before), context], 1), (hidden, cell))
        read = before + self.output(self.dropout(hidden)) + self.context(context)
        return self.dropout(read), weights, State(hidden, cell)


def make_captioner(architecture: str, sizes: CaptionerSizes) -> Captioner:
    """A captioner with start values."""
    return CnnRnn(sizes) if architecture == "cnn-rnn" else SoftAttention(sizes)
