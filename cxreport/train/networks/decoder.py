"""The decoder of Filipavicius et al. 2019 and Jing et al. 2018: co-attention, sentence LSTM and word LSTM.

Beyond the papers, the sentence step takes a plan: the reporting tags that the next sentence is about, and the section
that it belongs to. With empty plans it is the papers' step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from cxreport.text.vocabulary import NO_WORD
from cxreport.types import Detail

Attends = Literal["co-attention", "visual-only", "semantic-only", "no-attention"]


@dataclass(frozen=True)
class DecoderSizes:
    """Shapes of a decoder; Jing et al. use 512 for topics and hidden states."""

    tags: int
    words: int
    patch_dim: int = 512
    hidden: int = 512
    word_dim: int = 192
    attention: int = 64
    top_tags: int = 10
    attends: Attends = "co-attention"
    """What the context is made of: patches and semantic features, one of them, or the mean patch alone."""


class State(NamedTuple):
    """Hidden and cell state of an LSTM, (B, hidden) each."""

    hidden: Tensor
    cell: Tensor


class SentenceOutput(NamedTuple):
    """What a sentence step gives."""

    topic: Tensor
    """(B, hidden)"""
    stop: Tensor
    """(B,) logit: the report ends after this sentence."""
    section: Tensor
    """(B,) logit: the next sentence belongs to the Impression."""
    attention: Tensor
    """(B, P) weights over the patches."""
    state: State


class Attention(nn.Module):
    """Additive attention over a set, conditioned on the sentence LSTM's hidden state (Jing et al., eq. 1 to 4)."""

    def __init__(self, item_dim: int, hidden: int, inner: int) -> None:
        super().__init__()
        self.item = nn.Linear(item_dim, inner)
        self.hidden = nn.Linear(hidden, inner, bias=False)
        self.score = nn.Linear(inner, 1, bias=False)

    def forward(self, items: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N, D), (B, H) -> weighted mean (B, D) and weights (B, N)."""
        weights = self.weigh(self.item(items), hidden)
        return (weights.unsqueeze(-1) * items).sum(1), weights

    def weigh(self, keys: Tensor, hidden: Tensor) -> Tensor:
        """(B, N, inner) of `item` and (B, H) -> weights (B, N)."""
        scores: Tensor = self.score(torch.tanh(keys + self.hidden(hidden).unsqueeze(1))).squeeze(-1)
        return scores.softmax(1)


class SentenceStep(nn.Module):
    """One step of the sentence LSTM on the joint context of patches and semantic features."""

    def __init__(self, sizes: DecoderSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.tag_embedding = nn.Embedding(sizes.tags, sizes.hidden)
        self.section_embedding = nn.Embedding(2, sizes.hidden)
        self.detail_embedding = nn.Embedding(len(Detail), sizes.hidden)
        self.patch_norm = nn.LayerNorm(sizes.patch_dim)
        self.no_image = nn.Parameter(torch.zeros(sizes.patch_dim))
        self.visual = Attention(sizes.patch_dim, sizes.hidden, sizes.attention)
        self.semantic = Attention(sizes.hidden, sizes.hidden, sizes.attention)
        self.context = nn.Linear(sizes.patch_dim, sizes.hidden)
        self.unusual = nn.Linear(sizes.tags, sizes.hidden, bias=False)
        self.lstm = nn.LSTMCell(sizes.hidden, sizes.hidden)
        self.topic = nn.Linear(sizes.hidden, sizes.hidden)
        self.control = nn.Linear(sizes.hidden, 2)

    def forward(
        self,
        patches: Tensor,
        has_image: Tensor,
        tags: Tensor,
        unusual: Tensor,
        plan: Tensor,
        detail: Tensor,
        section: Tensor,
        state: State,
    ) -> SentenceOutput:
        """Make the next topic.

        Args:
            patches: (B, P, patch_dim) patch features; ignored where there is no image.
            has_image: (B,) 1 or 0; 0 puts the learned "no image" vector in place of every patch.
            tags: (B, R) probability of each reporting tag, 0 where negative.
            unusual: (B, R) how unusual the evidence of each reporting tag is, in standard deviations; 0 if unknown.
            plan: (B, R) 1 for a tag that this sentence is planned to tell, -1 to deny; zeros for a free topic.
            detail: (B, D) 1 for each `Detail` of how it tells it.
            section: (B,) int64, 0 for Findings, 1 for Impression.
            state: of the sentence LSTM; zeros at the start.
        """
        seen = has_image.view(-1, 1, 1)
        items = self.patch_norm(patches) * seen + self.no_image * (1 - seen)
        visual, attention = self._see(items, state.hidden)
        semantic = self._semantic(tags, state.hidden)
        planned = plan @ self.tag_embedding.weight + detail @ self.detail_embedding.weight
        context = self.context(visual) + semantic + planned + self.unusual(unusual) + self.section_embedding(section)
        hidden, cell = self.lstm(torch.tanh(context), state)
        stop, next_section = self.control(hidden).unbind(1)
        topic = torch.tanh(self.topic(hidden) + planned)
        return SentenceOutput(topic, stop, next_section, attention, State(hidden, cell))

    def _see(self, items: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """(B, P, patch_dim) -> the visual context and the weights of the patches, all alike without attention."""
        if self.sizes.attends in ("co-attention", "visual-only"):
            seen: tuple[Tensor, Tensor] = self.visual(items, hidden)
            return seen
        even = torch.ones_like(items[:, :, 0])
        mean = items.mean(1)
        blind = self.sizes.attends == "semantic-only"
        return torch.zeros_like(mean) if blind else mean, even / even.sum(1, keepdim=True)

    def _semantic(self, tags: Tensor, hidden: Tensor) -> Tensor:
        """(B, R) -> the semantic context (B, hidden)."""
        if self.sizes.attends in ("visual-only", "no-attention"):
            return torch.zeros_like(hidden)
        strongest, chosen = tags.topk(min(self.sizes.top_tags, self.sizes.tags), dim=1)
        semantic: Tensor
        semantic, _ = self.semantic(self.tag_embedding(chosen) * strongest.unsqueeze(-1), hidden)
        return semantic


class WordStep(nn.Module):
    """The word LSTM: the topic is its first input, then the words; input and output embeddings are tied."""

    def __init__(self, sizes: DecoderSizes) -> None:
        super().__init__()
        self.embedding = nn.Embedding(sizes.words, sizes.word_dim)
        self.topic = nn.Linear(sizes.hidden, sizes.word_dim)
        self.lstm = nn.LSTMCell(sizes.word_dim, sizes.hidden)
        self.output = nn.Linear(sizes.hidden, sizes.word_dim)
        self.bias = nn.Parameter(torch.zeros(sizes.words))
        self.dropout = nn.Dropout(0.3)

    def forward(self, topic: Tensor, word: Tensor, state: State) -> tuple[Tensor, State]:
        """One word.

        Args:
            topic: (N, hidden).
            word: (N,) int64, the word before, or `NO_WORD` at the start.
            state: of the word LSTM; zeros at the start.

        Returns:
            logits (N, words) and the next state.
        """
        first = (word == NO_WORD).unsqueeze(1)
        inputs = torch.where(first, self.topic(topic), self.embedding(word.clamp(min=0)))
        hidden, cell = self.lstm(self.dropout(inputs), state)
        logits = self.output(self.dropout(hidden)) @ self.embedding.weight.t() + self.bias
        return logits, State(hidden, cell)


class Decoder(nn.Module):
    """Sentence and word step with their training passes."""

    def __init__(self, sizes: DecoderSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.sentence = SentenceStep(sizes)
        self.word = WordStep(sizes)
        nn.init.normal_(self.word.embedding.weight, std=0.1)
        nn.init.normal_(self.sentence.tag_embedding.weight, std=0.5)
        nn.init.normal_(self.sentence.detail_embedding.weight, std=0.5)

    def start(self, batch: int) -> State:
        """Zero state for a batch of either LSTM."""
        zeros = self.word.bias.new_zeros(batch, self.sizes.hidden)
        return State(zeros, zeros)

    def topics(
        self,
        patches: Tensor,
        has_image: Tensor,
        tags: Tensor,
        unusual: Tensor,
        plans: Tensor,
        details: Tensor,
        sections: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Unroll the sentence LSTM under teacher forcing.

        Args:
            patches: (B, P, patch_dim).
            has_image: (B,).
            tags: (B, R).
            unusual: (B, R).
            plans: (B, S, R).
            details: (B, S, D).
            sections: (B, S) int64.

        Returns:
            topics (B, S, hidden), stop logits (B, S), next-section logits (B, S).
        """
        state, outputs = self.start(len(tags)), []
        for s in range(plans.shape[1]):
            output = self.sentence(patches, has_image, tags, unusual, plans[:, s], details[:, s], sections[:, s], state)
            state = output.state
            outputs.append(output)
        return (
            torch.stack([o.topic for o in outputs], 1),
            torch.stack([o.stop for o in outputs], 1),
            torch.stack([o.section for o in outputs], 1),
        )

    def words(self, topics: Tensor, words: Tensor) -> Tensor:
        """Unroll the word LSTM under teacher forcing: (N, hidden), (N, T) int64 -> logits (N, T, words)."""
        state, logits = self.start(len(topics)), []
        before = torch.full_like(words[:, 0], NO_WORD)
        for t in range(words.shape[1]):
            step, state = self.word(topics, before, state)
            logits.append(step)
            before = words[:, t]
        return torch.stack(logits, 1)
