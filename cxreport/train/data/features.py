"""Patch features and logits of the images that reports are written from, kept in the run folder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cxreport.train.data.evidence import Adapter, calibrate
from cxreport.train.fit import checkpoints
from cxreport.train.fit.encoder import EncoderData, encode_all
from cxreport.train.networks.encoder import Encoder
from cxreport.types import Floats

FEATURES_FILE = "features.pt"


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """Patch features (., P, D) in half precision and logits (., T) of the val images and of some train images."""

    chosen: Tensor
    """Indices of the train images."""
    patches: Tensor
    logits: Tensor
    val_patches: Tensor
    val_logits: Tensor

    def calibrated(self, encoder: Encoder, labels: Floats) -> tuple[ImageFeatures, Adapter]:
        """Calibrate the tag head on the val images.

        Args:
            encoder: that the features are of; its head is calibrated too.
            labels: (N, T) of the val images.

        Returns:
            The features with calibrated logits, and the calibration.
        """
        found = calibrate(self.val_logits.numpy(), labels)
        slope, bias = torch.from_numpy(np.diag(found.weights).copy()), torch.from_numpy(found.bias)
        encoder.calibrate(slope, bias)
        return replace(self, logits=self.logits * slope + bias, val_logits=self.val_logits * slope + bias), found


def described_head(tags: tuple[str, ...], calibration: Adapter) -> dict[str, Any]:
    """What the run file says of a calibrated tag head."""
    slope, bias = (values.astype(float).tolist() for values in (np.diag(calibration.weights), calibration.bias))
    return {
        "tags": list(tags),
        "tag_thresholds": [round(float(t), 4) for t in calibration.thresholds],
        "calibration": {"slope": slope, "bias": bias},
    }


def image_features(encoder: Encoder, images: EncoderData, most: int, seed: int, run: Path) -> ImageFeatures:
    """Encode all val images and ``most`` of the train images, or read what an earlier start has encoded.

    Args:
        encoder: trained, not yet calibrated.
        images: of the recipe.
        most: train images.
        seed: of the choice.
        run: folder that keeps the features.
    """
    chosen = torch.from_numpy(np.random.default_rng(seed).permutation(len(images.train))[:most])
    path = run / FEATURES_FILE
    if path.exists():
        kept = ImageFeatures(**torch.load(path, weights_only=True))
        if torch.equal(kept.chosen, chosen) and len(kept.val_logits) == len(images.val):
            return kept
    patches, logits = encode_all(encoder, images.train.pixels[chosen.numpy()])
    features = ImageFeatures(chosen, patches, logits, *encode_all(encoder, images.val.pixels))
    checkpoints.save(dict(vars(features)), path)
    return features
