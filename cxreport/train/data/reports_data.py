"""What reports are learned from: images, targets, and what a classifier says of the reports' own images."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cxreport.datasets import nih
from cxreport.datasets.openi import OpeniReport
from cxreport.errors import TrainingError
from cxreport.text import lexicon
from cxreport.train.config import TrainConfig
from cxreport.train.data import evidence
from cxreport.train.data.evidence import ReportEvidence
from cxreport.train.data.tag_facts import degree_shares
from cxreport.train.data.targets import build_vocabulary, target_report
from cxreport.train.data.tensors import DecoderData
from cxreport.train.fit.encoder import EncoderData
from cxreport.types import Floats


def nih_images(config: TrainConfig, root: Path) -> EncoderData:
    """The recipe's NIH folders; the first one's val list is for measuring."""
    size = config.encoder.size

    def read(folders: Sequence[str], split: str) -> nih.LabelledImages | None:
        sets = [nih.read_split(root / f, split, size) for f in folders]
        return functools.reduce(lambda a, b: a + b, sets) if sets else None

    images, val = read(config.data.nih, "train"), read(config.data.nih[:1], "val")
    if images is None or val is None:
        raise TrainingError("The recipe names no NIH folder.")
    return EncoderData(nih.FINDINGS, images, read(config.data.nih_small, "train"), val)


def decoder_data(config: TrainConfig, splits: tuple[list[OpeniReport], list[OpeniReport]]) -> DecoderData:
    """Targets of train and val, without reports that have no usable sentence, reporting tags and vocabulary."""
    plan, longest = config.reports.plan == "tags", config.reports.max_words
    train, val = ([t for r in split if (t := target_report(r, plan, longest))] for split in splits)
    vocabulary = build_vocabulary(train, config.reports.min_word_count)
    return DecoderData(train, val, lexicon.packaged().reporting_tags, vocabulary)


def chexnet_evidence(probabilities: dict[int, Floats], data: DecoderData) -> ReportEvidence:
    """What a CheXNet says of the reports' images, its adapter fitted to the tags of the train reports."""
    logits = {uid: evidence.logit(p) for uid, p in probabilities.items()}
    known = [t for t in data.train if t.uid in logits]
    targets = np.array([[tag in t.stated for tag in data.tags] for t in known], np.float32)
    typical = np.stack([logits[t.uid] for t in known])
    adapter = evidence.fit_adapter(typical, targets)
    source = evidence.source(adapter, nih.FINDINGS, typical, degree_shares(data))
    given = dict(zip(logits, adapter.probabilities(np.stack(list(logits.values()))), strict=True))
    return ReportEvidence(source, logits, given)
