"""Reports as the decoder learns them, and a CheXNet's evidence of their images."""

from __future__ import annotations

import numpy as np

from cxreport.datasets import nih
from cxreport.datasets.openi import OpeniReport
from cxreport.text import lexicon
from cxreport.train.config import DecoderConfig
from cxreport.train.data import evidence
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
    return DecoderData(train, val, lexicon.packaged().reporting_tags, build_vocabulary(train, config.min_word_count))


def chexnet_evidence(probabilities: dict[int, Floats], data: DecoderData) -> ReportEvidence:
    """Evidence of a CheXNet on the reports' own images, its adapter fitted to the tags of the train reports."""
    logits = {uid: evidence.logit(p) for uid, p in probabilities.items()}
    targets = [target for target in data.train if target.uid in logits]
    labels = np.array([[tag in target.stated for tag in data.tags] for target in targets], np.float32)
    train_logits = np.stack([logits[target.uid] for target in targets])
    adapter = evidence.fit_adapter(train_logits, labels)
    tag_probabilities = adapter.probabilities(np.stack(list(logits.values())))
    return ReportEvidence(
        source=evidence.source(adapter, nih.FINDINGS, train_logits, degree_shares(data)),
        logits=logits,
        probabilities=dict(zip(logits, tag_probabilities, strict=True)),
    )
