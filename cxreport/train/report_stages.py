"""The stages of a recipe for reports: from labelled images and radiologists' reports to a run folder.

Paired, the images are the reports' own and the tags their MeSH headings (Jing et al. 2018). Unpaired, images and
reports come from different collections and meet in the tags. The hierarchical architectures learn in stages: from the
reports' own tags without images, with the patch features of their images, and, planned, on consensus reports. The
captioning architectures know images alone.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cxreport.datasets import nih
from cxreport.datasets.openi import OpeniReport, read_evidence, read_reports, split_reports
from cxreport.model.manifest import CertaintyLimits, EvidenceModel
from cxreport.train.config import TrainConfig
from cxreport.train.data import evidence, paired
from cxreport.train.data.consensus import consensus_reports
from cxreport.train.data.decoder_data import chexnet_evidence, decoder_data
from cxreport.train.data.evidence import Adapter, ReportEvidence
from cxreport.train.data.features import ImageFeatures, described_head, image_features, limit_logits
from cxreport.train.data.head_limits import limited_head
from cxreport.train.data.images import ImageSplits, nih_images
from cxreport.train.data.joint_data import (
    ReportTexts,
    joint_data,
    joint_images,
    mesh_labels,
    nih_labels,
    text_vocabulary,
)
from cxreport.train.data.pseudo_pairs import nih_vector, pseudo_pairs, stand_ins
from cxreport.train.data.tag_facts import degree_shares, tag_facts, unplanned
from cxreport.train.data.targets import frequent_words
from cxreport.train.data.tensors import DecoderData, Images
from cxreport.train.data.word2vec import tag_vectors
from cxreport.train.fit.auc import auc_per_tag
from cxreport.train.fit.captioner import CaptionData, CaptionTask, report_words
from cxreport.train.fit.decoder import ConsensusTask, ReportTask
from cxreport.train.fit.factors import fit_vision
from cxreport.train.fit.joint import JointTask, new_space
from cxreport.train.fit.loop import Course, Stage, fit
from cxreport.train.fit.typicality import fit_distance
from cxreport.train.networks.build import new_captioner, new_decoder
from cxreport.train.networks.encoder import Encoder
from cxreport.train.progress import RunLog
from cxreport.train.run_folder import RUN_FILE, save_json, weights_file
from cxreport.types import Floats


@dataclass(frozen=True, eq=False)
class _Material:
    """Recipe of a run, its folder, and the images and reports to learn from."""

    config: TrainConfig
    run: Path
    log: RunLog
    images: ImageSplits
    reports: list[OpeniReport]
    """Of the train split."""
    data: DecoderData
    chexnet: ReportEvidence | None
    """Evidence on the reports' own images; None for paired recipes."""

    def stage(self, name: str, order: int = 0) -> Stage:
        """Stage of the run; those that follow on each other have seeds of their own."""
        return Stage(self.run, name, self.log, self.config.seed + order)


@dataclass(frozen=True, eq=False)
class _Vision:
    """Calibrated encoder, and its view of the images."""

    encoder: Encoder
    features: ImageFeatures
    calibration: Adapter
    """Of the tag head."""
    head: Adapter
    """From the tag head to the reporting tags."""
    limits: CertaintyLimits | None
    """How surely a report speaks of them; None for a recipe without consensus reports, which teach how to."""


def train_reports(config: TrainConfig, data_root: Path, run: Path, log: RunLog) -> None:
    """Train a recipe whose pairing is ``paired`` or ``unpaired``.

    Args:
        config: the recipe.
        data_root: folder that its data paths are relative to.
        run: folder of checkpoints and, at the end, ``run.json``.
        log: told of steps and epochs.
    """
    material = _read(config, data_root, run, log)
    start_weights = data_root / config.data.imagenet if config.data.imagenet else None
    logit_weight = config.teacher.logit_weight if config.teacher else 0.0
    encoder = fit_vision(config.encoder, material.images, start_weights, material.stage, logit_weight)
    if not config.architecture.captioning:  # needs no image yet; an interrupted run finds it done
        _fit_decoder_from_tags(material, encoder)
    vision = _calibrated(material, encoder)
    fit_writer = _fit_captioner if config.architecture.captioning else _fit_decoder
    writer = fit_writer(material, vision, _partners(material, vision))
    extra_words = _fit_joint(material, vision, tuple(writer["vocabulary"])) if config.joint is not None else []
    _finish(material, vision, writer | {"extra_words": extra_words})


def _read(config: TrainConfig, data_root: Path, run: Path, log: RunLog) -> _Material:
    folder = data_root / config.data.openi
    splits = split_reports(read_reports(folder), folder)
    paired_images = config.pairing == "paired"
    images = paired.labelled_images(*splits, folder, config) if paired_images else nih_images(config, data_root)
    data = decoder_data(config.reports, splits)
    chexnet = None if paired_images else chexnet_evidence(read_evidence(folder), data)
    if chexnet is not None and config.reports.plan == "tags":
        data = replace(data, unusual=chexnet.unusual)
    return _Material(config=config, run=run, log=log, images=images, reports=splits[0], data=data, chexnet=chexnet)


def _fit_decoder_from_tags(material: _Material, encoder: Encoder) -> None:
    """The first stage of a decoder: tag embeddings from word2vec, then training without images."""
    config, data = material.config, material.data
    torch.manual_seed(config.seed)
    reports = config.reports
    decoder = new_decoder(config, encoder, len(data.tags), len(data.vocabulary))
    sentences = (s.words for t in data.train for s in t.sentences)
    vectors = tag_vectors(sentences, data.tags, reports.hidden, config.seed)
    with torch.no_grad():
        decoder.sentence.tag_embedding.weight.copy_(torch.from_numpy(vectors) * 0.5)
    task = ReportTask(reports, data, decoder, None)
    fit(decoder, [task] * reports.epochs, Course(reports.lr, reports.weight_decay), material.stage("decoder_tags"))


def _calibrated(material: _Material, encoder: Encoder) -> _Vision:
    """Encode images, calibrate the tag head on the val ones, and fit the adapter from it to the reporting tags."""
    config, images = material.config, material.images
    features = image_features(encoder, images, config.reports.images, config.seed, material.run)
    banded = material.chexnet is not None and config.consensus
    raw = limit_logits(encoder, images, material.run).numpy() if banded else None  # before the head is calibrated
    features, calibration = features.calibrated(encoder, images.val.labels)
    head, limits = _head_adapter(material, features.val_logits.numpy()), None
    if raw is not None:
        logits = raw * np.diag(calibration.weights) + calibration.bias
        head, limits = limited_head(head, logits, features.val_logits.numpy(), images, material.data.tags)
    return _Vision(encoder=encoder, features=features, calibration=calibration, head=head, limits=limits)


def _head_adapter(material: _Material, logits: Floats) -> Adapter:
    """Adapter from the tag head's logits on val to the reporting tags."""
    images, data = material.images, material.data
    if material.chexnet is None:
        return evidence.fit_adapter(logits, paired.report_targets(data.val, images.val.names, data.tags))
    mask = nih.nih_mask(data.tags, images.tags)
    return evidence.fit_adapter(logits, nih.nih_targets(images.val.labels, data.tags, images.tags), mask, own=mask)


def _partners(material: _Material, vision: _Vision) -> Images:
    """Patch features, and a draw of the image that goes with each report."""
    data, chexnet, images, features = material.data, material.chexnet, material.images.train, vision.features
    if chexnet is None:
        own_images = paired.own_images(data.train, [images.names[i] for i in features.sample])
        return Images(features.patches, own_images)
    labels, soft = images.labels[features.sample], material.images.soft
    if soft is None:
        probabilities = vision.head.probabilities(features.logits.numpy())
    else:
        probabilities = evidence.taught_evidence(soft.logits[features.sample], labels, chexnet, data.train)
    draw = pseudo_pairs(
        labels=labels,
        probabilities=probabilities,
        data=data,
        evidence=chexnet.probabilities,
        neighbours=material.config.reports.neighbours,
    )
    return Images(features.patches, draw)


def _fit_decoder(material: _Material, vision: _Vision, partners: Images) -> dict[str, Any]:
    """The decoder's stages with images, and on consensus reports; returns the run file's entries about it."""
    config, data, chexnet, reports = material.config, material.data, material.chexnet, material.config.reports
    decoder = new_decoder(config, vision.encoder, len(data.tags), len(data.vocabulary))
    decoder.load_state_dict(torch.load(material.run / weights_file("decoder_tags"), weights_only=True))
    task = ReportTask(reports, data, decoder, partners)
    course = Course(reports.lr / 3, reports.weight_decay)
    fit(decoder, [task] * reports.image_epochs, course, material.stage("decoder", 1))
    facts = tag_facts(data, material.reports, reports.denied)
    if chexnet is not None and config.consensus:
        targets = consensus_reports(reports, data, facts, chexnet, material.reports)
        consensus = ConsensusTask(reports, data, decoder, partners, targets)
        course = Course(reports.lr, reports.weight_decay)
        fit(decoder, [consensus] * reports.consensus_epochs, course, material.stage("consensus", 2))
    logits = vision.features.val_logits.numpy()
    shares = degree_shares(data)
    sources = {"head": evidence.source(vision.head, material.images.tags, logits, shares, vision.limits)}
    if chexnet is not None:
        sources["chexnet"] = chexnet.source
    return {
        "reporting_tags": list(data.tags),
        **asdict(facts),
        "vocabulary": list(data.vocabulary),
        "evidence": {name: _as_json(source) for name, source in sources.items()},
    }


def _fit_captioner(material: _Material, vision: _Vision, partners: Images) -> dict[str, Any]:
    """The captioner's stage, which needs no tags; it is measured on the images that go with the val reports."""
    config, table = material.config, material.config.captioner
    texts = [report_words(target) for target in material.data.train]
    vocabulary = frequent_words(texts, table.min_word_count)
    captioner = new_captioner(config, vision.encoder, len(vocabulary))
    val_patches, val_texts = _val_pairs(material, vision)
    data = CaptionData(
        vocabulary=vocabulary,
        images=partners,
        texts=[[text] for text in texts],
        val_patches=val_patches,
        val_texts=val_texts,
    )
    task = CaptionTask(table, captioner, data)
    fit(captioner, [task] * table.epochs, Course(table.lr, table.weight_decay), material.stage("captioner"))
    return unplanned(vocabulary)


def _val_pairs(material: _Material, vision: _Vision) -> tuple[Tensor, list[tuple[str, ...]]]:
    """Patch features of the image of each val report that has one, or of a stand-in for it, and the reports."""
    val, reports = material.images.val, material.data.val
    if material.chexnet is None:
        partners = paired.own_images(reports, list(val.names))(np.random.default_rng(0))
    else:
        stated = np.stack([nih_vector(target.stated) for target in reports])
        unknown = np.zeros(len(nih.FINDINGS), np.float32)
        probabilities = {uid: _sigmoid(logits) for uid, logits in material.chexnet.logits.items()}
        evident = np.stack([probabilities.get(target.uid, unknown) for target in reports])
        partners = stand_ins(val.labels, stated, evident)
    patches = vision.features.val_patches[[partner for partner in partners if partner >= 0]]
    return patches, [report_words(t) for t, partner in zip(reports, partners, strict=True) if partner >= 0]


def _fit_joint(material: _Material, vision: _Vision, vocabulary: tuple[str, ...]) -> list[str]:
    """The joint space's stage; returns the words that the text encoder knows beyond the vocabulary."""
    config, images, joint = material.config, material.images, material.config.joint
    assert joint is not None
    extra_words = text_vocabulary(vocabulary, images.tags, material.reports)
    stage = material.stage("joint")
    if not stage.weights.exists():
        texts = ReportTexts(
            reports=material.reports,
            vocabulary=vocabulary + extra_words,
            labels_of=mesh_labels if material.chexnet is None else nih_labels,
        )
        labels = images.train.labels if images.soft is None else images.soft.labels[: len(images.train)]
        train = joint_images(vision.encoder, images.train, labels, joint.images, config.seed)
        val = joint_images(vision.encoder, images.val, images.val.labels, len(images.val), config.seed)
        data = joint_data(train, val, images.tags, texts)
        torch.manual_seed(config.seed)
        space = new_space(joint, data, len(texts.vocabulary))
        fit(space, [JointTask(joint, data, space)] * joint.epochs, Course(joint.lr, joint.weight_decay), stage)
    return list(extra_words)


def _finish(material: _Material, vision: _Vision, writer: dict[str, Any]) -> None:
    """Fit the out-of-distribution distance, and write the run file."""
    images = material.images
    scores = _sigmoid(vision.features.val_logits.numpy())
    auc = {tag: round(value, 4) for tag, value in auc_per_tag(scores, images.val.labels, images.tags).items()}
    limits, false_alarms = fit_distance(material.run, images.train.pixels, images.val.pixels, vision.encoder)
    material.log.epoch("typicality", {**asdict(limits), **false_alarms})
    material.log.epoch("tags", {"val_images": len(images.val), "val_auc": auc})
    description: dict[str, Any] = {
        **described_head(images.tags, vision.calibration),
        **writer,
        "typicality": asdict(limits),
        "val_false_alarms": false_alarms,
        "val_auc": auc,
        "counts": {
            "train_images": len(images.train),
            "val_images": len(images.val),
            "train_reports": len(material.data.train),
        },
    }
    save_json(description, material.run / RUN_FILE, indent=1)


def _sigmoid(logits: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-logits)), np.float32)


def _as_json(source: EvidenceModel) -> dict[str, Any]:
    """A source of evidence as ``run.json`` has it."""
    arrays = {name: array.astype(float).round(5).tolist() for name, array in source.arrays.items()}
    return {"inputs": list(source.inputs), **arrays}
