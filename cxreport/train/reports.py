"""Reports: from labelled images and radiologists' reports to a run folder.

Paired, the images are the reports' own and the tags their MeSH headings (Jing et al. 2018). Unpaired, images and
reports come from different collections and meet in the tags. The hierarchical architectures learn in stages: from the
reports' own tags without images, with the patch features of their images, and, planned, on consensus reports. The
captioning architectures know images alone.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cxreport.datasets import nih
from cxreport.datasets.openi import OpeniReport, read_evidence, read_reports, split_reports
from cxreport.model.manifest import EvidenceModel
from cxreport.train.config import TrainConfig
from cxreport.train.data import evidence, paired
from cxreport.train.data.consensus import consensus_reports
from cxreport.train.data.evidence import Adapter, ReportEvidence
from cxreport.train.data.features import ImageFeatures, described_head, image_features
from cxreport.train.data.joint_data import joint_data, joint_images, mesh_labels, nih_labels, text_vocabulary
from cxreport.train.data.pseudo_pairs import nih_vector, pseudo_pairs, stand_ins
from cxreport.train.data.reports_data import chexnet_evidence, decoder_data, nih_images
from cxreport.train.data.tag_facts import degree_shares, tag_facts, unplanned
from cxreport.train.data.targets import frequent_words
from cxreport.train.data.tensors import DecoderData, Images
from cxreport.train.data.word2vec import tag_vectors
from cxreport.train.fit.captioner import CaptionTask, report_words
from cxreport.train.fit.decoder import ConsensusTask, ReportTask
from cxreport.train.fit.encoder import EncoderData, fit_encoder
from cxreport.train.fit.joint import JointTask, new_space
from cxreport.train.fit.loop import Course, fit
from cxreport.train.fit.metrics import auc_per_tag
from cxreport.train.networks.build import new_captioner, new_decoder
from cxreport.train.networks.encoder import Encoder
from cxreport.train.networks.typicality import fit_distance
from cxreport.train.progress import RunLog
from cxreport.types import Floats

RUN_FILE = "run.json"


@dataclass(frozen=True, eq=False)
class _Known:
    """What the later stages are given."""

    config: TrainConfig
    run: Path
    log: RunLog
    reports: tuple[list[OpeniReport], list[OpeniReport]]
    """Train and val."""
    images: EncoderData
    encoder: Encoder
    """Calibrated."""
    features: ImageFeatures
    calibration: Adapter
    """Of the tag head."""
    data: DecoderData
    chexnet: ReportEvidence | None
    head: Adapter


def train_reports(config: TrainConfig, data_root: Path, run: Path, log: RunLog) -> None:
    """Train a recipe whose pairing is ``paired`` or ``unpaired``.

    Args:
        config: the recipe.
        data_root: folder that its data paths are relative to.
        run: folder of checkpoints and, at the end, ``run.json``.
        log: told of steps and epochs.
    """
    folder = data_root / config.data.openi
    splits = split_reports(read_reports(folder), folder)
    if config.pairing == "paired":
        images = paired.labelled_images(*splits, folder, config)
    else:
        images = nih_images(config, data_root)
    imagenet = data_root / config.data.imagenet if config.data.imagenet else None
    encoder = fit_encoder(config.encoder, images, imagenet, run, log, config.seed)
    data = decoder_data(config, splits)
    chexnet = chexnet_evidence(read_evidence(folder), data) if config.pairing == "unpaired" else None
    if chexnet is not None and config.reports.plan == "tags":
        data = replace(data, unusual=chexnet.unusual)
    if not config.architecture.captioning:  # needs no image yet; an interrupted run finds it done
        decode_from_tags(config, encoder, data, run, log)
    known = _calibrated(config, run, log, splits, images, encoder, data, chexnet)
    write = _write_captions if config.architecture.captioning else _write_reports
    written = write(known, _partners(known))
    written["extra_words"] = _fit_joint(known, tuple(written["vocabulary"])) if config.joint is not None else []
    _finish(known, written)


def decode_from_tags(config: TrainConfig, encoder: Encoder, data: DecoderData, run: Path, log: RunLog) -> None:
    """The first stage of a decoder: tag embeddings from word2vec, then training without images."""
    torch.manual_seed(config.seed)
    reports = config.reports
    decoder = new_decoder(config, encoder, len(data.tags), len(data.vocabulary))
    sentences = (s.words for t in data.train for s in t.sentences)
    vectors = tag_vectors(sentences, data.tags, reports.hidden, config.seed)
    with torch.no_grad():
        decoder.sentence.tag_embedding.weight.copy_(torch.from_numpy(vectors) * 0.5)
    course = Course(reports.epochs, reports.lr, reports.weight_decay)
    fit(ReportTask(reports, data, decoder, None), course, run, "decoder_tags", log, config.seed)


def _calibrated(
    config: TrainConfig,
    run: Path,
    log: RunLog,
    splits: tuple[list[OpeniReport], list[OpeniReport]],
    images: EncoderData,
    encoder: Encoder,
    data: DecoderData,
    chexnet: ReportEvidence | None,
) -> _Known:
    """Encode images, calibrate the tag head on the val ones, and fit the adapter from it to the reporting tags."""
    features = image_features(encoder, images, config.reports.images, config.seed, run)
    features, calibration = features.calibrated(encoder, images.val.labels)
    head = _head_adapter(config, images, data, features.val_logits.numpy())
    return _Known(config, run, log, splits, images, encoder, features, calibration, data, chexnet, head)


def _partners(known: _Known) -> Images:
    """Patch features, and a draw of the image that goes with each report."""
    config, data, chexnet = known.config, known.data, known.chexnet
    train, features = known.images.train, known.features
    chosen = features.chosen.tolist()
    if chexnet is None:
        return Images(features.patches, paired.own_images(data.train, [train.names[i] for i in chosen]))
    seen = train.labels[chosen], known.head.probabilities(features.logits.numpy())
    draw = pseudo_pairs(*seen, data.train, data.tags, chexnet.probabilities, config.reports.neighbours)
    return Images(features.patches, draw)


def _write_reports(known: _Known, partners: Images) -> dict[str, Any]:
    """The decoder with images, and on consensus reports; what the bundle needs to plan and write."""
    config, data, chexnet, reports = known.config, known.data, known.chexnet, known.config.reports
    decoder = new_decoder(config, known.encoder, len(data.tags), len(data.vocabulary))
    decoder.load_state_dict(torch.load(known.run / "decoder_tags.pt", weights_only=True))
    course = Course(reports.image_epochs, reports.lr / 3, reports.weight_decay)
    task = ReportTask(reports, data, decoder, partners)
    fit(task, course, known.run, "decoder", known.log, config.seed + 1)
    facts = tag_facts(data, known.reports[0], reports.denied)
    if chexnet is not None and config.consensus:
        wanted = consensus_reports(reports, data, facts, chexnet, known.reports[0])
        course = Course(reports.consensus_epochs, reports.lr, reports.weight_decay)
        written = ConsensusTask(reports, data, decoder, partners, wanted)
        fit(written, course, known.run, "consensus", known.log, config.seed + 2)
    sources = {
        "head": evidence.source(known.head, known.images.tags, known.features.val_logits.numpy(), degree_shares(data))
    }
    if chexnet is not None:
        sources["chexnet"] = chexnet.source
    return {
        "reporting_tags": list(data.tags),
        **asdict(facts),
        "vocabulary": list(data.vocabulary),
        "evidence": {name: _as_json(source) for name, source in sources.items()},
    }


def _write_captions(known: _Known, partners: Images) -> dict[str, Any]:
    """A captioner, which needs no tags; it is measured on the images that would go with the val reports."""
    config, data = known.config, known.data
    texts, val = ([report_words(t) for t in split] for split in (data.train, data.val))
    vocabulary = frequent_words(texts, config.captioner.min_word_count)
    captioner = new_captioner(config, known.encoder, len(vocabulary))
    task = CaptionTask(config.captioner, captioner, vocabulary, partners, [[t] for t in texts], _val_pairs(known, val))
    c = config.captioner
    fit(task, Course(c.epochs, c.lr, c.weight_decay), known.run, "captioner", known.log, config.seed)
    return unplanned(vocabulary)


def _val_pairs(known: _Known, texts: list[tuple[str, ...]]) -> tuple[Tensor, list[tuple[str, ...]]]:
    """Patch features of the image of each val report that has one, or a stand-in for it, and the reports."""
    val, reports = known.images.val, known.data.val
    if known.chexnet is None:
        partner = paired.own_images(reports, list(val.names))(np.random.default_rng(0))
    else:
        stated = np.stack([nih_vector(t.stated) for t in reports])
        unknown = np.zeros(len(nih.FINDINGS), np.float32)
        seen: dict[int, Floats] = {uid: _sigmoid(logits) for uid, logits in known.chexnet.logits.items()}
        evident = np.stack([seen.get(t.uid, unknown) for t in reports])
        partner = stand_ins(val.labels, stated, evident)
    rows = [p for p in partner if p >= 0]
    patches = known.features.val_patches[rows]
    return patches, [text for text, p in zip(texts, partner, strict=True) if p >= 0]


def _fit_joint(known: _Known, vocabulary: tuple[str, ...]) -> list[str]:
    """The joint space; returns the words that the text encoder knows beyond the vocabulary."""
    config, images, joint = known.config, known.images, known.config.joint
    assert joint is not None
    extra = text_vocabulary(vocabulary, images.tags, known.reports[0])
    if not (known.run / "joint.pt").exists():
        train = joint_images(known.encoder, images.train, joint.images, config.seed)
        val = joint_images(known.encoder, images.val, len(images.val), config.seed)
        labels_of = mesh_labels if known.chexnet is None else nih_labels
        data = joint_data(train, val, images.tags, known.reports[0], vocabulary + extra, labels_of)
        torch.manual_seed(config.seed)
        space = new_space(joint, data, len(vocabulary + extra))
        course = Course(joint.epochs, joint.lr, joint.weight_decay)
        fit(JointTask(joint, data, space), course, known.run, "joint", known.log, config.seed)
    return list(extra)


def _finish(known: _Known, written: dict[str, Any]) -> None:
    """Fit the distance, and put down what the bundle needs beside the weights."""
    images = known.images
    scores = _sigmoid(known.features.val_logits.numpy())
    auc = {k: round(v, 4) for k, v in auc_per_tag(scores, images.val.labels, images.tags).items()}
    limits, false_alarms = fit_distance(known.run, images.train.pixels, images.val.pixels, known.encoder)
    known.log.epoch("typicality", {**asdict(limits), **false_alarms})
    known.log.epoch("tags", {"val_images": len(images.val), "val_auc": auc})
    described: dict[str, Any] = {
        **described_head(images.tags, known.calibration),
        **written,
        "typicality": asdict(limits),
        "val_false_alarms": false_alarms,
        "val_auc": auc,
        "counts": {
            "train_images": len(images.train),
            "val_images": len(images.val),
            "train_reports": len(known.data.train),
        },
    }
    (known.run / RUN_FILE).write_text(json.dumps(described, indent=1) + "\n")


def _head_adapter(config: TrainConfig, images: EncoderData, data: DecoderData, logits: NDArray[np.float32]) -> Adapter:
    """From our own head's logits on val to reporting tags."""
    if config.pairing == "paired":
        return evidence.fit_adapter(logits, paired.report_targets(data.val, images.val.names, data.tags))
    mask = nih.nih_mask(data.tags, images.tags)
    return evidence.fit_adapter(logits, nih.nih_targets(images.val.labels, data.tags, images.tags), mask)


def _sigmoid(logits: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-logits)), np.float32)


def _as_json(source: EvidenceModel) -> dict[str, Any]:
    """A source of evidence as ``run.json`` keeps it."""
    arrays = {k: v.astype(float).round(5).tolist() for k, v in vars(source).items() if k != "inputs"}
    return {"inputs": list(source.inputs), **arrays}
