"""A recipe from data to a run folder that `export` turns into a bundle.

1. encoder and tag head on labelled images;
2. decoder from the reports' own tags, without images;
3. evidence adapters, and the decoder again with the patch features of its images;
4. the decoder on consensus reports, planned as inference plans them.

Paired, the images are the reports' own and the tags their MeSH headings (Jing et al. 2018). Unpaired, images and
reports come from different collections and meet in the tags.
"""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cxreport import lexicon
from cxreport.bundle import DistanceLimits, EvidenceModel
from cxreport.errors import TrainingError
from cxreport.train import checkpoints, evidence, nih, paired
from cxreport.train._graphs import rounded
from cxreport.train.batches import DecoderData, Images
from cxreport.train.config import TrainConfig, load_config
from cxreport.train.consensus import consensus_reports
from cxreport.train.decoder import Decoder, DecoderSizes
from cxreport.train.encoder import PATCH_DIM, Encoder
from cxreport.train.evidence import Adapter, ReportEvidence
from cxreport.train.fit_decoder import fit_decoder
from cxreport.train.fit_encoder import EncoderData, encode_all, fit_encoder
from cxreport.train.metrics import auc_per_tag
from cxreport.train.openi import OpeniReport, read_evidence, read_reports, split_reports
from cxreport.train.progress import Progress, RunLog
from cxreport.train.pseudo_pairs import pseudo_pairs
from cxreport.train.tag_facts import degree_shares, tag_facts
from cxreport.train.text import build_vocabulary, target_report
from cxreport.train.typicality import TYPICALITY_FILE, distance_limits, fit_typicality, measure_distances
from cxreport.train.word2vec import tag_vectors
from cxreport.types import Floats

RUN_FILE = "run.json"


def train(config_path: Path, data_root: Path, run: Path, progress: Progress) -> None:
    """Train a recipe into a run folder, or go on with a run that was interrupted.

    Args:
        config_path: the recipe.
        data_root: folder that the recipe's data paths are relative to.
        run: folder of checkpoints, the log and, at the end, ``run.json``.
        progress: told of steps and epochs.

    Raises:
        TrainingError: data are missing, the recipe is wrong, or the run belongs to another recipe.
    """
    try:
        config = load_config(config_path)
    except (OSError, ValueError) as error:
        raise TrainingError(f"{config_path}: {error}") from error
    _claim(run, config_path)
    log = RunLog(run, progress)
    try:
        folder = data_root / config.data.openi
        splits = split_reports(read_reports(folder), folder)
        if config.pairing == "paired":
            images = paired.labelled_images(*splits, folder, config)
        else:
            images = _nih_images(config, data_root)
    except FileNotFoundError as error:
        raise TrainingError(f"{error.filename or error}: not found.") from error
    imagenet = data_root / config.data.imagenet if config.data.imagenet else None
    encoder = fit_encoder(config.encoder, images, imagenet, run, log, config.seed)
    data = decoder_data(config, splits)
    chexnet = chexnet_evidence(read_evidence(folder), data) if config.pairing == "unpaired" else None
    if chexnet is not None:
        data = replace(data, unusual=chexnet.unusual)
    decoder = decode_from_tags(config, data, run, log)
    _finish(config, run, log, images, encoder, data, decoder, chexnet, splits[0])


def _claim(run: Path, config_path: Path) -> None:
    """Make the run folder the recipe's own; an interrupted run goes on only under the same recipe."""
    run.mkdir(parents=True, exist_ok=True)
    kept = run / "config.toml"
    if not kept.exists():
        shutil.copyfile(config_path, kept)
    elif kept.read_bytes() != config_path.read_bytes():
        raise TrainingError(f"{run}: holds a run of another recipe.", hint="Name a new run folder with --out.")


def _nih_images(config: TrainConfig, root: Path) -> EncoderData:
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
    plan, longest = config.decoder.plan == "tags", config.decoder.max_words
    train, val = ([t for r in split if (t := target_report(r, plan, longest))] for split in splits)
    vocabulary = build_vocabulary(train, config.decoder.min_word_count)
    return DecoderData(train, val, lexicon.reporting_tags(), vocabulary)


def decode_from_tags(config: TrainConfig, data: DecoderData, run: Path, log: RunLog) -> Decoder:
    """Stage 2: tag embeddings from word2vec, then the decoder without images."""
    torch.manual_seed(config.seed)
    decoder = Decoder(decoder_sizes(config, len(data.tags), len(data.vocabulary)))
    sentences = (s.words for t in data.train for s in t.sentences)
    vectors = tag_vectors(sentences, data.tags, config.decoder.hidden, config.seed)
    with torch.no_grad():
        decoder.sentence.tag_embedding.weight.copy_(torch.from_numpy(vectors) * 0.5)
    return fit_decoder(config.decoder, data, decoder, None, run, "decoder_tags", log, config.seed)


def decoder_sizes(config: TrainConfig, tags: int, words: int) -> DecoderSizes:
    """Shapes of the recipe's decoder."""
    d = config.decoder
    patch_dim = max(1, int(PATCH_DIM * config.encoder.width))
    return DecoderSizes(tags, words, patch_dim, d.hidden, d.word_dim, d.attention, d.top_tags)


def _finish(
    config: TrainConfig,
    run: Path,
    log: RunLog,
    images: EncoderData,
    encoder: Encoder,
    data: DecoderData,
    decoder: Decoder,
    chexnet: ReportEvidence | None,
    reports: Sequence[OpeniReport],
) -> None:
    """Stages 3 and 4, and what the bundle needs beside the weights."""
    val = images.val
    _, val_logits = encode_all(encoder, val.pixels)
    calibration = evidence.calibrate(val_logits.numpy(), val.labels)
    slope = np.diag(calibration.weights).copy()
    encoder.calibrate(torch.from_numpy(slope), torch.from_numpy(calibration.bias))
    val_logits = val_logits * torch.from_numpy(slope) + torch.from_numpy(calibration.bias)
    head = _head_adapter(config, images, data, val_logits.numpy())
    sources = {"head": evidence.source(head, images.tags, val_logits.numpy(), degree_shares(data))}
    chosen = np.random.default_rng(config.seed).permutation(len(images.train))[: config.decoder.images]
    patches, logits = encode_all(encoder, images.train.pixels[chosen])
    if chexnet is None:
        partner = paired.own_images(data.train, [images.train.names[i] for i in chosen])
    else:
        sources["chexnet"] = chexnet.source
        seen = images.train.labels[chosen], head.probabilities(logits.numpy())
        partner = pseudo_pairs(*seen, data.train, data.tags, chexnet.probabilities, config.decoder.neighbours)
    partners = Images(patches, partner)
    fit_decoder(config.decoder, data, decoder, partners, run, "decoder", log, config.seed + 1)
    told = tag_facts(data, reports, config.decoder.denied)
    if chexnet is not None and config.decoder.consensus_epochs:
        wanted = consensus_reports(config.decoder, data, told, chexnet, reports)
        fit_decoder(config.decoder, data, decoder, partners, run, "consensus", log, config.seed + 2, wanted)
    scores = val_logits.sigmoid().numpy()
    auc = {k: round(v, 4) for k, v in auc_per_tag(scores, val.labels, images.tags).items()}
    limits, false_alarms = fit_distance(run, images, encoder)
    log.epoch("typicality", {**asdict(limits), **false_alarms})
    log.epoch("tags", {"val_images": len(val), "val_auc": auc})
    described: dict[str, Any] = {
        "tags": list(images.tags),
        "tag_thresholds": [round(float(t), 4) for t in calibration.thresholds],
        "calibration": {"slope": slope.astype(float).tolist(), "bias": calibration.bias.astype(float).tolist()},
        "reporting_tags": list(data.tags),
        **asdict(told),
        "vocabulary": list(data.vocabulary),
        "evidence": {name: _as_json(source) for name, source in sources.items()},
        "typicality": asdict(limits),
        "val_false_alarms": false_alarms,
        "val_auc": auc,
        "counts": {"train_images": len(images.train), "val_images": len(val), "train_reports": len(data.train)},
    }
    (run / RUN_FILE).write_text(json.dumps(described, indent=1) + "\n")


def fit_distance(run: Path, images: EncoderData, encoder: Encoder) -> tuple[DistanceLimits, dict[str, float]]:
    """Fit what tells images unlike the training images, into the run folder; its limits come from the val images."""
    encoder = rounded(encoder)  # as the bundle has it: where images hardly differ, rounding its weights moves them all
    typicality = fit_typicality(encoder, images.train.pixels)
    checkpoints.save(typicality.state_dict(), run / TYPICALITY_FILE)
    return distance_limits(measure_distances(encoder, typicality, images.val.pixels))


def _head_adapter(config: TrainConfig, images: EncoderData, data: DecoderData, logits: NDArray[np.float32]) -> Adapter:
    """From our own head's logits on val to reporting tags."""
    if config.pairing == "paired":
        return evidence.fit_adapter(logits, paired.report_targets(data.val, images.val.names, data.tags))
    mask = nih.nih_mask(data.tags, images.tags)
    return evidence.fit_adapter(logits, nih.nih_targets(images.val.labels, data.tags, images.tags), mask)


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


def _as_json(source: EvidenceModel) -> dict[str, Any]:
    """A source of evidence as ``run.json`` keeps it."""
    arrays = {k: v.astype(float).round(5).tolist() for k, v in vars(source).items() if k != "inputs"}
    return {"inputs": list(source.inputs), **arrays}
