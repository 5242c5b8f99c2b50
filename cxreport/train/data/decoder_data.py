"""Reports as the decoder learns them, and a CheXNet's evidence of their images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cxreport.datasets import nih
from cxreport.datasets.openi import OpeniReport
from cxreport.text import lexicon
from cxreport.text.tokens import tokenise
from cxreport.train.config import DecoderConfig
from cxreport.train.data import evidence
from cxreport.train.data.certainty import REPORT_AIMS, Opinions, fit_limits, held_out_probabilities
from cxreport.train.data.evidence import ReportEvidence
from cxreport.train.data.tag_facts import degree_shares
from cxreport.train.data.targets import build_vocabulary, target_report
from cxreport.train.data.tensors import DecoderData
from cxreport.types import Floats


def decoder_data(config: DecoderConfig, splits: tuple[list[OpeniReport], list[OpeniReport]]) -> DecoderData:
    """Targets of train and val, without reports that have no usable sentence, reporting tags and vocabulary."""
    planned = config.plan == "tags"
    train, val = (
        [target for report in split if (target := target_report(report, planned, config.max_words))] for split in splits
    )
    tags, vocabulary = lexicon.packaged().reporting_tags, build_vocabulary(train, config.min_word_count)
    return DecoderData(train, val, tags, (*vocabulary, *(_lexicon_words(tags, vocabulary) if planned else ())))


def _lexicon_words(tags: Sequence[str], vocabulary: Sequence[str]) -> list[str]:
    """Words of the lexicon's own sentences, which consensus reports may have, that a vocabulary lacks."""
    rules = lexicon.packaged()
    texts = [text for tag in tags for text in (rules.plain_sentence(tag), *rules.possible_sentences(tag))]
    words = dict.fromkeys(word for text in texts for word in tokenise(text))
    return [word for word in words if word not in vocabulary]


def chexnet_evidence(probabilities: dict[int, Floats], data: DecoderData) -> ReportEvidence:
    """Evidence of a CheXNet on the reports' own images, its adapter and its limits fitted to the train reports."""
    logits = {uid: evidence.logit(p) for uid, p in probabilities.items()}
    targets = [target for target in data.train if target.uid in logits]
    labels = np.array([[tag in target.stated for tag in data.tags] for target in targets], np.float32)
    train_logits = np.stack([logits[target.uid] for target in targets])
    own = nih.nih_mask(data.tags, nih.FINDINGS)

    def fit(rows: NDArray[np.bool_]) -> Callable[[Floats], Floats]:
        return evidence.fit_adapter(train_logits[rows], labels[rows], own=own, folds=0).probabilities

    adapter = evidence.fit_adapter(train_logits, labels, own=own)
    held_out = held_out_probabilities(fit, train_logits, [str(target.uid) for target in targets])
    known = adapter.weights.any(1) & (labels.sum(0) > 0)
    told, limits = fit_limits(data.tags, held_out, Opinions(labels, labels), known, REPORT_AIMS)
    adapter = replace(adapter, thresholds=told)
    tag_probabilities = adapter.probabilities(np.stack(list(logits.values())))
    return ReportEvidence(
        source=evidence.source(adapter, nih.FINDINGS, train_logits, degree_shares(data), limits),
        logits=logits,
        probabilities=dict(zip(logits, tag_probabilities, strict=True)),
    )
