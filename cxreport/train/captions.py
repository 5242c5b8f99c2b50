"""Captions: from pictures with several captions each, in COCO's layout, to a run folder.

The encoder learns to tell which frequent words the captions of a picture have, as the attributes of Fang et al. 2015;
then a captioner learns to write a caption from the patch features.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image

from cxreport.datasets.coco import CocoImage, read_captions
from cxreport.datasets.nih import LabelledImages
from cxreport.errors import TrainingError
from cxreport.reading.network_input import network_input
from cxreport.text.tokens import tokenise
from cxreport.train.config import TrainConfig
from cxreport.train.data.features import described_head, image_features
from cxreport.train.data.tag_facts import unplanned
from cxreport.train.data.targets import frequent_words
from cxreport.train.data.tensors import Images
from cxreport.train.fit.captioner import CaptionTask, Words
from cxreport.train.fit.encoder import EncoderData, fit_encoder
from cxreport.train.fit.loop import Course, fit
from cxreport.train.fit.metrics import auc_per_tag
from cxreport.train.networks.build import new_captioner
from cxreport.train.networks.typicality import fit_distance
from cxreport.train.progress import RunLog
from cxreport.train.reports import RUN_FILE

_STOP_WORDS = {
    *("a", "an", "the", "and", "or", "of", "to", "in", "on", "at", "is", "are", "with", "there", "it", "its", "that"),
    *("this", "one", "two", "other", "next", "by", "from", "has", "have"),
}
_MOST_TAGS = 1000


def train_captions(config: TrainConfig, data_root: Path, run: Path, log: RunLog) -> None:
    """Train a recipe whose pairing is ``captions``.

    Args:
        config: the recipe, of a captioning architecture.
        data_root: folder that its data paths are relative to.
        run: folder of checkpoints and, at the end, ``run.json``.
        log: told of steps and epochs.
    """
    folder = data_root / config.data.coco
    train, val = read_captions(folder, "train"), read_captions(folder, "val")
    texts, val_texts = ([_words(image) for image in some] for some in (train, val))
    tags = _tags(texts, config.captioner.tag_count)
    images = EncoderData(
        tags, _read(train, texts, tags, config.encoder.size), None, _read(val, val_texts, tags, config.encoder.size)
    )
    imagenet = data_root / config.data.imagenet if config.data.imagenet else None
    encoder = fit_encoder(config.encoder, images, imagenet, run, log, config.seed)
    features = image_features(encoder, images, len(images.train), config.seed, run)
    val_auc = auc_per_tag(features.val_logits.numpy(), images.val.labels, tags)
    features, calibration = features.calibrated(encoder, images.val.labels)
    vocabulary = frequent_words([words for some in texts for words in some], config.captioner.min_word_count)
    own = features.chosen.argsort().tolist()  # where the features of each image are
    first = [some[0] for some in val_texts]
    c = config.captioner
    captioner = new_captioner(config, encoder, len(vocabulary))
    task = CaptionTask(
        c, captioner, vocabulary, Images(features.patches, lambda _rng: own), texts, (features.val_patches, first)
    )
    fit(task, Course(c.epochs, c.lr, c.weight_decay), run, "captioner", log, config.seed)
    limits, false_alarms = fit_distance(run, images.train.pixels, images.val.pixels, encoder)
    described = {
        **described_head(tags, calibration),
        **unplanned(vocabulary),
        "extra_words": [],
        "typicality": asdict(limits),
        "val_false_alarms": false_alarms,
        "val_auc": val_auc,
        "counts": {"train_images": len(train), "val_images": len(val), "train_captions": sum(map(len, texts))},
    }
    (run / RUN_FILE).write_text(json.dumps(described, indent=1) + "\n")


def _words(image: CocoImage) -> list[Words]:
    return [tuple(tokenise(caption)) for caption in image.captions]


def _tags(texts: Sequence[Sequence[Words]], least: int) -> tuple[str, ...]:
    """Words of the captions of at least ``least`` images, without those that say nothing of a picture."""
    counts = Counter(word for some in texts for word in {w for words in some for w in words})
    frequent = [w for w, n in counts.most_common() if n >= least and w.isalpha() and w not in _STOP_WORDS]
    if not frequent:
        raise TrainingError(f"No word is in the captions of {least} images (captioner.tag_count).")
    return tuple(sorted(frequent[:_MOST_TAGS]))


def _read(
    images: Sequence[CocoImage], texts: Sequence[Sequence[Words]], tags: tuple[str, ...], size: int
) -> LabelledImages:
    """Pictures in RGB as inference reads them, labelled with the words of their captions."""
    pixels = np.empty((len(images), size, size, 3), np.uint8)
    for i, image in enumerate(images):
        with Image.open(image.path) as picture:
            pixels[i] = network_input(np.asarray(picture.convert("RGB")), size, 3)
    said = [{word for words in some for word in words} for some in texts]
    labels = np.array([[tag in words for tag in tags] for words in said], np.float32)
    return LabelledImages(pixels, labels, tuple(str(image.id) for image in images))
