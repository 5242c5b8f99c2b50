"""The decoder of Filipavicius et al. 2019 and Jing et al. 2018: co-attention, sentence LSTM and word LSTM.

Beyond the papers, the sentence step takes a plan: the reporting tags that the next sentence is about, and the section
that it belongs to. With empty plans it is the papers' step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cxreport.text.vocabulary import NO_WORD
from cxreport.types import Detail


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
    attends_to: tuple[str, ...] = ("patches", "tags")
    """Context of a topic, as `model.choices.ArchitectureRow` has it: attention to the patches, to semantic features of
    the tags, or neither, which leaves the mean patch."""


class State(NamedTuple):
    """Hidden and cell state of an LSTM, (B, hidden) each."""

    hidden: Tensor
    cell: Tensor


class StudyInput(NamedTuple):
    """B studies as the decoder sees them."""

    patches: Tensor
    """(B, P, patch_dim) patch features; ignored where there is no image."""
    has_image: Tensor
    """(B,) 1 or 0; 0 puts the learned "no image" vector in place of every patch."""
    tags: Tensor
    """(B, R) probability of each reporting tag, 0 where negative."""
    unusual: Tensor
    """(B, R) how unusual the evidence of each reporting tag is, in standard deviations; 0 if unknown."""


class TopicInput(NamedTuple):
    """Plans of sentences: one per study, or S with a dimension of their own behind the studies'."""

    plan: Tensor
    """(B, R) 1 for a tag that the sentence is planned to tell, -1 to deny; zeros for a free topic."""
    detail: Tensor
    """(B, D) 1 for each `Detail` of how it tells it."""
    section: Tensor
    """(B,) int64, 0 for Findings, 1 for Impression."""

    def at(self, step: int) -> TopicInput:
        """Sentence ``step`` of (B, S, ...)."""
        return TopicInput(*(values[:, step] for values in self))


class SentenceOutput(NamedTuple):
    """Topic of a sentence, and the decisions what comes after it."""

    topic: Tensor
    """(B, hidden)"""
    stop: Tensor
    """(B,) logit: the report ends after this sentence."""
    section: Tensor
    """(B,) logit: the next sentence belongs to the Impression."""
    attention: Tensor
    """(B, P) weights of the patches."""
    state: State


class Topics(NamedTuple):
    """Topics of reports of S sentences."""

    topics: Tensor
    """(B, S, hidden)"""
    stop: Tensor
    """(B, S) logits: the report ends after this sentence."""
    section: Tensor
    """(B, S) logits: the next sentence belongs to the Impression."""


class Attention(nn.Module):
    """Additive attention over a set, conditioned on the sentence LSTM's hidden state (Jing et al., eq. 1 to 4)."""

    def __init__(self, item_dim: int, hidden: int, keys: int) -> None:
        super().__init__()
        self.item = nn.Linear(item_dim, keys)
        self.hidden = nn.Linear(hidden, keys, bias=False)
        self.score = nn.Linear(keys, 1, bias=False)

    def forward(self, items: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N, D), (B, H) -> weighted mean (B, D) and weights (B, N)."""
        weights = self.weigh(self.item(items), hidden)
        return (weights.unsqueeze(-1) * items).sum(1), weights

    def weigh(self, keys: Tensor, hidden: Tensor) -> Tensor:
        """(B, N, keys) of `item` and (B, H) -> weights (B, N)."""
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

    def forward(self, study: StudyInput, sentence: TopicInput, state: State) -> SentenceOutput:
        """Make the next topic from the state of the sentence LSTM, zeros at the start."""
        has_image = study.has_image.view(-1, 1, 1)
        patches = self.patch_norm(study.patches) * has_image + self.no_image * (1 - has_image)
        visual, attention = self._visual(patches, state.hidden)
        semantic = self._semantic(study.tags, state.hidden)
        plan = sentence.plan @ self.tag_embedding.weight + sentence.detail @ self.detail_embedding.weight
        context = self.context(visual) + semantic + plan + self.unusual(study.unusual)
        context = context + self.section_embedding(sentence.section)
        hidden, cell = self.lstm(torch.tanh(context), state)
        stop, next_section = self.control(hidden).unbind(1)
        topic = torch.tanh(self.topic(hidden) + plan)
        return SentenceOutput(topic, stop, next_section, attention, State(hidden, cell))

    def _visual(self, patches: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """(B, P, patch_dim) -> the visual context and the weights of the patches, all alike without attention."""
        if "patches" in self.sizes.attends_to:
            context: tuple[Tensor, Tensor] = self.visual(patches, hidden)
            return context
        even = torch.ones_like(patches[:, :, 0])
        mean = patches.mean(1)
        return torch.zeros_like(mean) if self.sizes.attends_to else mean, even / even.sum(1, keepdim=True)

    def _semantic(self, tags: Tensor, hidden: Tensor) -> Tensor:
        """(B, R) -> the semantic context (B, hidden)."""
        if "tags" not in self.sizes.attends_to:
            return torch.zeros_like(hidden)
        probabilities, strongest = tags.topk(min(self.sizes.top_tags, self.sizes.tags), dim=1)
        semantic: Tensor
        semantic, _ = self.semantic(self.tag_embedding(strongest) * probabilities.unsqueeze(-1), hidden)
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
            word: (N,) int64, the previous word, or `NO_WORD` at the start.
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

    def topics(self, study: StudyInput, sentences: TopicInput) -> Topics:
        """Unroll the sentence LSTM under teacher forcing, over (B, S, ...) of sentences."""
        state, outputs = self.start(len(study.tags)), []
        for step in range(sentences.plan.shape[1]):
            output = self.sentence(study, sentences.at(step), state)
            state = output.state
            outputs.append(output)
        columns = zip(*((output.topic, output.stop, output.section) for output in outputs), strict=True)
        return Topics(*(torch.stack(column, 1) for column in columns))

    def words(self, topics: Tensor, words: Tensor) -> Tensor:
        """Unroll the word LSTM under teacher forcing: (N, hidden), (N, T) int64 -> logits (N, T, words)."""
        state, logits = self.start(len(topics)), []
        previous = torch.full_like(words[:, 0], NO_WORD)
        for t in range(words.shape[1]):
            word_logits, state = self.word(topics, previous, state)
            logits.append(word_logits)
            previous = words[:, t]
        return torch.stack(logits, 1)
