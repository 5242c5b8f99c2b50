"""What a sentence adds to a section: the reward of self-critical training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from cxreport.evaluate.text import r2gen_words

_ORDER = 4
_BETA = 1.2  # of ROUGE-L, as pycocoevalcap has it
_MOMENTUM = 0.02
_LONGEST = 60

Words = tuple[str, ...]
_Counts = list[Counter[Words]]


class SectionReward:
    """BLEU-4 of the whole collection and ROUGE-L of the report, as a sum that a report can be paid by.

    BLEU is no mean over reports, so a report is paid what it moves the logarithm of BLEU by: its correct and its
    guessed n-grams, each relative to what reports have on average, and its length while reports are too short. The
    averages run along with training.
    """

    def __init__(self, bleu: float, rouge: float) -> None:
        """Weights of the two."""
        self._bleu, self._rouge = bleu, rouge
        self._correct, self._guessed = [10.0, 5.0, 3.0, 1.5], [30.0, 29.0, 28.0, 27.0]
        self._length, self._wanted = 30.0, 30.0

    def marginals(self, sentences: Sequence[str], reference: Reference) -> tuple[float, list[float]]:
        """Reward of a section, and what each sentence adds to that of the others.

        Args:
            sentences: in the order in which they are read.
            reference: what a radiologist wrote.
        """
        words = [tuple(r2gen_words(s)) for s in sentences]
        whole = self._reward(words, reference)
        return whole, [whole - self._reward(words[:i] + words[i + 1 :], reference) for i in range(len(words))]

    def follow(self, sentences: Sequence[str], reference: Reference) -> None:
        """Let the averages follow a section that the decoder wrote."""
        words = [w for s in sentences for w in r2gen_words(s)]
        for n, counts in enumerate(_ngrams(words)):
            correct = sum(min(k, reference.counts[n][gram]) for gram, k in counts.items())
            self._correct[n] += _MOMENTUM * (correct - self._correct[n])
            self._guessed[n] += _MOMENTUM * (max(0, len(words) - n) - self._guessed[n])
        self._length += _MOMENTUM * (len(words) - self._length)
        self._wanted += _MOMENTUM * (reference.length - self._wanted)

    def _reward(self, sentences: Sequence[Words], reference: Reference) -> float:
        words = [word for sentence in sentences for word in sentence]
        total = 0.0
        for n, counts in enumerate(_ngrams(words)):
            correct = sum(min(k, reference.counts[n][gram]) for gram, k in counts.items())
            total += (correct / self._correct[n] - max(0, len(words) - n) / self._guessed[n]) / _ORDER
        if self._length < self._wanted:
            total += len(words) * self._wanted / self._length**2
        return self._bleu * total + self._rouge * reference.rouge(words)


class Reference:
    """A radiologist's section, ready to be compared with."""

    def __init__(self, text: str) -> None:
        words = r2gen_words(text)[:_LONGEST]
        self.length = len(words)
        self.counts = _ngrams(words)
        self._places: dict[str, int] = {}
        for i, word in enumerate(words):
            self._places[word] = self._places.get(word, 0) | 1 << i

    def rouge(self, words: Sequence[str]) -> float:
        """ROUGE-L (Lin 2004); the longest common subsequence by the bits of Crochemore et al. 2001."""
        everything = (1 << self.length) - 1
        left = everything
        for word in words:
            found = left & self._places.get(word, 0)
            left = (left + found | left - found) & everything
        common = self.length - left.bit_count()
        if not common:
            return 0.0
        precision, recall = common / len(words), common / self.length
        return (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)


def _ngrams(words: Sequence[str]) -> _Counts:
    return [Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1)) for n in range(1, _ORDER + 1)]
