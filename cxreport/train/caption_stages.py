"""The stages of a recipe for captions: from pictures with several captions each, in COCO's layout, to a run folder.

The encoder learns to tell which frequent words the captions of a picture have, as the attributes of Fang et al. 2015;
then a captioner learns to write a caption from the patch features.
"""

from __future__ import annotations

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
from cxreport.train.data.images import ImageSplits
from cxreport.train.data.tag_facts import unplanned
from cxreport.train.data.targets import frequent_words
from cxreport.train.data.tensors import Images
from cxreport.train.fit.auc import auc_per_tag
from cxreport.train.fit.captioner import CaptionData, CaptionTask, Words
from cxreport.train.fit.factors import fit_vision
from cxreport.train.fit.loop import Course, Stage, fit
from cxreport.train.fit.typicality import fit_distance
from cxreport.train.networks.build import new_captioner
from cxreport.train.progress import RunLog
from cxreport.train.run_folder import RUN_FILE, save_json

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
    texts, val_texts = ([_words(image) for image in images] for images in (train, val))
    images = _labelled(config, (train, texts), (val, val_texts))
    start_weights = data_root / config.data.imagenet if config.data.imagenet else None
    encoder = fit_vision(config.encoder, images, start_weights, lambda name: Stage(run, name, log, config.seed))
    features = image_features(encoder, images, len(images.train), config.seed, run)
    val_auc = auc_per_tag(features.val_logits.numpy(), images.val.labels, images.tags)
    features, calibration = features.calibrated(encoder, images.val.labels)
    table = config.captioner
    vocabulary = frequent_words([words for captions in texts for words in captions], table.min_word_count)
    partners = np.argsort(features.sample).tolist()  # rows of the images' features
    data = CaptionData(
        vocabulary=vocabulary,
        images=Images(features.patches, lambda _rng: partners),
        texts=texts,
        val_patches=features.val_patches,
        val_texts=[captions[0] for captions in val_texts],
    )
    captioner = new_captioner(config, encoder, len(vocabulary))
    task, course = CaptionTask(table, captioner, data), Course(table.lr, table.weight_decay)
    fit(captioner, [task] * table.epochs, course, Stage(run, "captioner", log, config.seed))
    limits, false_alarms = fit_distance(run, images.train.pixels, images.val.pixels, encoder)
    description = {
        **described_head(images.tags, calibration),
        **unplanned(vocabulary),
        "extra_words": [],
        "typicality": asdict(limits),
        "val_false_alarms": false_alarms,
        "val_auc": val_auc,
        "counts": {"train_images": len(train), "val_images": len(val), "train_captions": sum(map(len, texts))},
    }
    save_json(description, run / RUN_FILE, indent=1)


def _words(image: CocoImage) -> list[Words]:
    return [tuple(tokenise(caption)) for caption in image.captions]


_Split = tuple[Sequence[CocoImage], Sequence[Sequence[Words]]]
"""Images, and the words of their captions."""


def _labelled(config: TrainConfig, train: _Split, val: _Split) -> ImageSplits:
    """Pictures with their captions' frequent words as tags."""
    tags, size = _tags(train[1], config.captioner.tag_count), config.encoder.size
    return ImageSplits(tags=tags, train=_read(train, tags, size), small=None, val=_read(val, tags, size))


def _tags(texts: Sequence[Sequence[Words]], least: int) -> tuple[str, ...]:
    """Words of the captions of at least ``least`` images, without those that say nothing of a picture."""
    counts = Counter(word for captions in texts for word in {word for words in captions for word in words})
    frequent = [w for w, n in counts.most_common() if n >= least and w.isalpha() and w not in _STOP_WORDS]
    if not frequent:
        raise TrainingError(f"No word is in the captions of {least} images (captioner.tag_count).")
    return tuple(sorted(frequent[:_MOST_TAGS]))


def _read(split: _Split, tags: tuple[str, ...], size: int) -> LabelledImages:
    """Pictures in RGB as inference reads them, labelled with the words of their captions."""
    images, texts = split
    pixels = np.empty((len(images), size, size, 3), np.uint8)
    for i, image in enumerate(images):
        with Image.open(image.path) as picture:
            pixels[i] = network_input(np.asarray(picture.convert("RGB")), size, 3)
    vocabularies = [{word for words in captions for word in words} for captions in texts]
    labels = np.array([[tag in words for tag in tags] for words in vocabularies], np.float32)
    return LabelledImages(pixels, labels, tuple(str(image.id) for image in images))
