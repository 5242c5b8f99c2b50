"""A recipe from data to a run folder that `export` turns into a bundle.

1. encoder and tag head on labelled images;
2. decoder from the reports' own tags, without images;
3. evidence adapters, and the decoder again with the patch features of its images.

Paired, the images are the reports' own and the tags their MeSH headings (Jing et al. 2018). Unpaired, images and
reports come from different collections and meet in the tags.
"""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cxreport import lexicon
from cxreport.bundle import DistanceLimits
from cxreport.errors import TrainingError
from cxreport.train import checkpoints, evidence, nih, paired
from cxreport.train.batches import DecoderData, Images
from cxreport.train.config import TrainConfig, load_config
from cxreport.train.decoder import Decoder, DecoderSizes
from cxreport.train.encoder import PATCH_DIM, Encoder
from cxreport.train.evidence import Adapter
from cxreport.train.fit_decoder import fit_decoder
from cxreport.train.fit_encoder import EncoderData, encode_all, fit_encoder
from cxreport.train.metrics import auc_per_tag
from cxreport.train.openi import OpeniReport, read_evidence, read_reports, split_reports
from cxreport.train.progress import Progress, RunLog
from cxreport.train.pseudo_pairs import pseudo_pairs
from cxreport.train.text import TargetReport, build_vocabulary, target_report
from cxreport.train.typicality import TYPICALITY_FILE, distance_limits, fit_typicality, measure_distances
from cxreport.train.word2vec import tag_vectors
from cxreport.types import Detail, Floats

RUN_FILE = "run.json"
_DENIALS = 40  # sentences that deny a tag and hardly anything else, for the decoder to have learned it
_DEGREES = 10  # sentences that give a tag a degree, likewise
_IMPRESSION_SHARE = 0.4  # a tag belongs in the Impression when so many of its reports repeat it there


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
    decoder = decode_from_tags(config, data, run, log)
    _finish(config, folder, run, log, images, encoder, data, decoder)


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
    folder: Path,
    run: Path,
    log: RunLog,
    images: EncoderData,
    encoder: Encoder,
    data: DecoderData,
    decoder: Decoder,
) -> None:
    """Stage 3, and what the bundle needs beside the weights."""
    val = images.val
    _, val_logits = encode_all(encoder, val.pixels)
    head = _head_adapter(config, images, data, val_logits.numpy())
    adapters = {"head": (head, val_logits.numpy())}
    chosen = np.random.default_rng(config.seed).permutation(len(images.train))[: config.decoder.images]
    patches, logits = encode_all(encoder, images.train.pixels[chosen])
    if config.pairing == "paired":
        partner = paired.own_images(data.train, [images.train.names[i] for i in chosen])
    else:
        chexnet = read_evidence(folder)
        adapters["chexnet"] = _chexnet_adapter(chexnet, data)
        chexnet_adapter, _ = adapters["chexnet"]
        partner = pseudo_pairs(
            images.train.labels[chosen],
            head.probabilities(logits.numpy()),
            data.train,
            data.tags,
            chexnet,
            chexnet_adapter,
            config.decoder.neighbours,
        )
    fit_decoder(config.decoder, data, decoder, Images(patches, partner), run, "decoder", log, config.seed + 1)
    scores = val_logits.sigmoid().numpy()
    auc = {k: round(v, 4) for k, v in auc_per_tag(scores, val.labels, images.tags).items()}
    limits, false_alarms = fit_distance(run, images, encoder)
    log.epoch("typicality", {**asdict(limits), **false_alarms})
    log.epoch("tags", {"val_images": len(val), "val_auc": auc})
    described: dict[str, Any] = {
        "tags": list(images.tags),
        "tag_thresholds": [
            round(evidence.best_f1_threshold(scores[:, i], val.labels[:, i]), 4) for i in range(len(images.tags))
        ],
        "reporting_tags": list(data.tags),
        "impression": [impression_share(data.train, t) >= _IMPRESSION_SHARE for t in data.tags],
        "deniable": [plain_denials(data.train, t) >= _DENIALS for t in data.tags],
        "vocabulary": list(data.vocabulary),
        "evidence": {
            name: _as_json(adapter, images.tags, logits, degree_shares(data))
            for name, (adapter, logits) in adapters.items()
        },
        "typicality": asdict(limits),
        "val_false_alarms": false_alarms,
        "val_auc": auc,
        "counts": {"train_images": len(images.train), "val_images": len(val), "train_reports": len(data.train)},
    }
    (run / RUN_FILE).write_text(json.dumps(described, indent=1) + "\n")


def fit_distance(run: Path, images: EncoderData, encoder: Encoder) -> tuple[DistanceLimits, dict[str, float]]:
    """Fit what tells images unlike the training images, into the run folder; its limits come from the val images."""
    typicality = fit_typicality(encoder, images.train.pixels)
    checkpoints.save(typicality.state_dict(), run / TYPICALITY_FILE)
    return distance_limits(measure_distances(encoder, typicality, images.val.pixels))


def _head_adapter(config: TrainConfig, images: EncoderData, data: DecoderData, logits: NDArray[np.float32]) -> Adapter:
    """From our own head's logits on val to reporting tags."""
    if config.pairing == "paired":
        return evidence.fit_adapter(logits, paired.report_targets(data.val, images.val.names, data.tags))
    mask = nih.nih_mask(data.tags, images.tags)
    return evidence.fit_adapter(logits, nih.nih_targets(images.val.labels, data.tags, images.tags), mask)


def _chexnet_adapter(probabilities: dict[int, Floats], data: DecoderData) -> tuple[Adapter, Floats]:
    """From CheXNet's probabilities to the tags of the train reports; the adapter and the logits of these reports."""
    known = [t for t in data.train if t.uid in probabilities]
    logits = evidence.logit(np.stack([probabilities[t.uid] for t in known]))
    targets = np.array([[tag in t.tags for tag in data.tags] for t in known], np.float32)
    return evidence.fit_adapter(logits, targets), logits


def impression_share(targets: list[TargetReport], tag: str) -> float:
    """Of the reports with both sections that affirm a tag, how many do so in the Impression."""
    both = [t for t in targets if tag in t.tags and len({s.impression for s in t.sentences}) == 2]
    repeated = sum(any(s.impression and s.tag == tag for s in t.sentences) for t in both)
    return repeated / len(both) if both else 0.0


def plain_denials(targets: list[TargetReport], tag: str) -> int:
    """How many sentences deny a tag and at most one other."""
    return sum(tag in s.denied and len(s.denied) <= 2 for t in targets for s in t.sentences)


def degree_shares(data: DecoderData) -> Floats:
    """(R, 2): of the sentences that tell a tag, the share that calls it mild and no more, and marked; 0 for a few."""
    shares = np.zeros((len(data.tags), 2), np.float32)
    for r, tag in enumerate(data.tags):
        told = [s.details for t in data.train for s in t.sentences if s.tag == tag]
        mild = sum(Detail.MILD in d and Detail.MARKED not in d for d in told)
        marked = sum(Detail.MARKED in d for d in told)
        shares[r] = [n / len(told) if n >= _DEGREES else 0 for n in (mild, marked)]
    return shares


def _as_json(adapter: Adapter, inputs: tuple[str, ...], logits: Floats, shares: Floats) -> dict[str, Any]:
    """A source of evidence as ``run.json`` keeps it; ``logits`` (N, T) of typical images, ``shares`` of degrees."""
    vectors = {"bias": adapter.bias, "thresholds": adapter.thresholds}
    vectors |= zip(("mild", "marked"), evidence.degree_cuts(adapter, logits, shares), strict=True)
    vectors |= zip(("usual", "spread"), evidence.usual_evidence(adapter, logits), strict=True)
    return {
        "inputs": list(inputs),
        "weights": [[round(float(w), 5) for w in row] for row in adapter.weights],
        **{name: [round(float(x), 5) for x in vector] for name, vector in vectors.items()},
    }
