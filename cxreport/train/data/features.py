"""Patch features and logits of the images that go with reports, in a file of the run folder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cxreport.train.data.evidence import Adapter, calibrate
from cxreport.train.data.images import ImageSplits
from cxreport.train.networks.encoder import Encoder, encode_all
from cxreport.train.run_folder import FEATURES_FILE, LIMIT_LOGITS_FILE, save_tensors
from cxreport.types import Floats

_MOST_LIMIT_IMAGES = 6000  # as the patches of all are in memory while they are encoded


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """Patch features (., P, D) in half precision and logits (., T) of the val images and a sample of train images."""

    chosen: Tensor
    """Indices of the sample, as the file calls them."""
    patches: Tensor
    logits: Tensor
    val_patches: Tensor
    val_logits: Tensor

    @property
    def sample(self) -> list[int]:
        """Indices of the train images in the order of their features."""
        indices: list[int] = self.chosen.tolist()
        return indices

    def calibrated(self, encoder: Encoder, labels: Floats) -> tuple[ImageFeatures, Adapter]:
        """Calibrate the tag head on the val images.

        Args:
            encoder: that the features are of; its head is calibrated too.
            labels: (N, T) of the val images.

        Returns:
            the features with calibrated logits, and the calibration.
        """
        scaling = calibrate(self.val_logits.numpy(), labels)
        slope, bias = torch.from_numpy(np.diag(scaling.weights).copy()), torch.from_numpy(scaling.bias)
        encoder.calibrate(slope, bias)
        return replace(self, logits=self.logits * slope + bias, val_logits=self.val_logits * slope + bias), scaling


def limit_logits(encoder: Encoder, images: ImageSplits, run: Path) -> Tensor:
    """Logits (M, T) of the first folder's train images, or those of an earlier start: what limits are chosen on.

    Args:
        encoder: trained, not yet calibrated.
        images: of the recipe.
        run: the run folder.
    """
    path, count = run / LIMIT_LOGITS_FILE, min(images.first, _MOST_LIMIT_IMAGES)
    if path.exists():
        logits: Tensor = torch.load(path, weights_only=True)["logits"]
        if len(logits) == count:
            return logits
    _, logits = encode_all(encoder, images.train.pixels[:count])
    save_tensors({"logits": logits}, path)
    return logits


def described_head(tags: tuple[str, ...], calibration: Adapter) -> dict[str, Any]:
    """A calibrated tag head, as the run file has it."""
    slope, bias = (values.astype(float).tolist() for values in (np.diag(calibration.weights), calibration.bias))
    return {
        "tags": list(tags),
        "tag_thresholds": [round(float(t), 4) for t in calibration.thresholds],
        "calibration": {"slope": slope, "bias": bias},
    }


def image_features(encoder: Encoder, images: ImageSplits, most: int, seed: int, run: Path) -> ImageFeatures:
    """Encode all val images and a sample of the train images, or read the features of an earlier start.

    Args:
        encoder: trained, not yet calibrated.
        images: of the recipe.
        most: size of the sample.
        seed: of the sample.
        run: the run folder.
    """
    sample = torch.from_numpy(np.random.default_rng(seed).permutation(len(images.train))[:most])
    path = run / FEATURES_FILE
    if path.exists():
        features = ImageFeatures(**torch.load(path, weights_only=True))
        if torch.equal(features.chosen, sample) and len(features.val_logits) == len(images.val):
            return features
    patches, logits = encode_all(encoder, images.train.pixels[sample.numpy()])
    features = ImageFeatures(sample, patches, logits, *encode_all(encoder, images.val.pixels))
    save_tensors(dict(vars(features)), path)
    return features
