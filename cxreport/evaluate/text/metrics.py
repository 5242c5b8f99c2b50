"""BLEU, METEOR, ROUGE-L and CIDEr of pycocoevalcap, the code that the field reports its figures with, per study."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from importlib.metadata import version

import numpy as np

from cxreport.evaluate.bootstrap import Rows, Statistics, mean_statistics

METRICS = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "METEOR", "ROUGE-L", "CIDEr")
_ORDER = 4
_SMALL, _TINY = 1e-9, 1e-15  # BleuScorer's own guards against a division by zero
_METEOR_ALPHA, _METEOR_BETA, _METEOR_GAMMA, _METEOR_DELTA = 0.85, 0.2, 0.6, 0.75  # METEOR 1.5's own for English
_METEOR_WEIGHTS = (1.0, 0.6, 0.8, 0.6)
_CHUNKS = 20  # their place among METEOR's 23 counts


class CaptionMetrics:
    """Metrics of texts; METEOR's Java program is kept running, and left out where there is no Java."""

    def __init__(self) -> None:
        from pycocoevalcap.meteor.meteor import METEOR_JAR, Meteor  # of an extra that images do without

        self._meteor, self._jar = Meteor() if shutil.which("java") else None, str(METEOR_JAR)

    @property
    def signature(self) -> str:
        """Versions of pycocoevalcap and METEOR."""
        meteor = self._jar.removesuffix(".jar") if self._meteor else "no METEOR (no Java)"
        return f"pycocoevalcap-{version('pycocoevalcap')}, {meteor}"

    def measure(self, references: Sequence[str | Sequence[str]], texts: Sequence[str]) -> list[Statistics]:
        """Measure texts against one reference each, or several.

        BLEU and METEOR are corpus scores, ROUGE-L and CIDEr means over studies, as pycocoevalcap gives them. CIDEr
        weighs n-grams by how many of these studies' references have them, also in the resamples. Of several
        references, BLEU takes the length of the closest and METEOR the best.

        Args:
            references: N prepared texts, or for each study its prepared texts.
            texts: N prepared texts.
        """
        from pycocoevalcap.cider.cider import Cider
        from pycocoevalcap.rouge.rouge import Rouge

        reference_lists = [[entry] if isinstance(entry, str) else list(entry) for entry in references]
        gts, res = dict(enumerate(reference_lists)), {i: [text] for i, text in enumerate(texts)}
        means = {"ROUGE-L": Rouge(), "CIDEr": Cider()}
        rows = np.column_stack([metric.compute_score(gts, res)[1] for metric in means.values()])
        statistics = [_bleu(reference_lists, texts), mean_statistics(tuple(means), rows)]
        if self._meteor is not None:
            lines = [self._meteor._stat(text, refs) for text, refs in zip(texts, reference_lists, strict=True)]
            rows = meteor_rows(np.array([line.split() for line in lines], np.float64))
            statistics.append(Statistics(("METEOR",), rows, lambda sums: meteor(sums)[:, None]))
        return statistics


def _bleu(references: Sequence[list[str]], texts: Sequence[str]) -> Statistics:
    """BLEU-1 to -4 (Papineni et al. 2002) from lengths and n-gram counts: text, reference, guessed, correct."""
    from pycocoevalcap.bleu.bleu_scorer import BleuScorer

    scorer = BleuScorer(n=_ORDER)
    for reference_texts, text in zip(references, texts, strict=True):
        scorer += (text, reference_texts)
    rows = [[c["testlen"], closest_length(c["testlen"], c["reflen"]), *c["guess"], *c["correct"]] for c in scorer.ctest]
    return Statistics(METRICS[:_ORDER], np.array(rows, np.float64), bleu)


def closest_length(length: int, references: Sequence[int]) -> int:
    """Length of the reference nearest to a text's, the shorter of two, as BleuScorer's option ``closest``."""
    return min(references, key=lambda reference: (abs(reference - length), reference))


def bleu(sums: Rows) -> Rows:
    """BLEU-1 to -4 (B, 4) from sums (B, 10) of text length, reference length, 4 guessed and 4 correct."""
    length, reference, guessed, correct = sums[:, 0], sums[:, 1], sums[:, 2 : 2 + _ORDER], sums[:, 2 + _ORDER :]
    precisions = np.cumprod((correct + _TINY) / (guessed + _SMALL), axis=1)
    ratio = (length + _TINY) / (reference + _SMALL)
    brevity = np.exp(np.minimum(0, 1 - 1 / ratio))
    return np.asarray(precisions ** (1 / np.arange(1, _ORDER + 1)) * brevity[:, None])


def meteor_rows(counts: Rows) -> Rows:
    """Counts of each study as METEOR adds them up: a text that equals its reference has no fragments.

    Args:
        counts: (N, 23) of METEOR's Java program: text and reference length, their function words; per matcher (exact,
            stem, synonym, paraphrase) matched content words of text and reference, matched function words of both;
            chunks, matched words of both.
    """
    chunks = counts[:, _CHUNKS]
    identical = (counts[:, :2] == counts[:, _CHUNKS + 1 :]).all(1) & (chunks == 1)
    return np.column_stack([counts[:, :_CHUNKS], np.where(identical, 0, chunks), counts[:, _CHUNKS + 1 :]])


def meteor(sums: Rows) -> Rows:
    """METEOR 1.5 (Denkowski & Lavie 2014) from sums (B, 23) of `meteor_rows`; its Java program scores no resamples."""
    sizes, matched = sums[:, :4], sums[:, 4:_CHUNKS].reshape(len(sums), 4, 4)
    weighted = np.einsum("bms,m->bs", matched, _METEOR_WEIGHTS)
    word_weights = np.array([_METEOR_DELTA, 1 - _METEOR_DELTA])  # of content words, of function words
    matches = weighted.reshape(-1, 2, 2).transpose(0, 2, 1) @ word_weights
    possible = np.stack([sizes[:, :2] - sizes[:, 2:], sizes[:, 2:]], axis=2) @ word_weights
    precision, recall = (matches / np.maximum(possible, _SMALL)).T
    mean = precision * recall / np.maximum(_METEOR_ALPHA * precision + (1 - _METEOR_ALPHA) * recall, _SMALL)
    fragments = sums[:, _CHUNKS] / np.maximum(sums[:, _CHUNKS + 1 :].mean(1), _SMALL)
    return np.asarray(mean * (1 - _METEOR_GAMMA * fragments**_METEOR_BETA))
