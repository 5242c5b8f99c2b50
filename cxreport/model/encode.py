"""Encode: images, or tag probabilities from a classifier, to the encodings that plan and decoder read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from cxreport.errors import BundleError, InvalidTagsError, NotAChestRadiographError
from cxreport.model.manifest import Manifest
from cxreport.types import Encoding, Pixels

if TYPE_CHECKING:
    from cxreport.model.session import Model


def encode(model: Model, images: list[Pixels]) -> list[Encoding]:
    """Run the encoder and tag head.

    Args:
        model: a loaded bundle.
        images: (S, S) or (S, S, 3) uint8 each, as `reading.network_input` makes them.

    Raises:
        BundleError: the encoder's weights are no numbers.
    """
    if not images:
        return []
    stacked = np.stack(images)
    output = model.encode_batch(stacked.transpose(0, 3, 1, 2) if stacked.ndim > 3 else stacked[:, None])
    if not np.isfinite(output.probabilities).all() or not np.isfinite(output.distance).all():
        raise BundleError("The bundle's encoder computes no numbers: its weights are damaged.")
    return [
        Encoding(
            tags=dict(zip(model.manifest.tag_names, map(float, output.probabilities[i]), strict=True)),
            patches=output.patches[i],
            embedding=output.embedding[i],
            patch_embeddings=None if output.patch_embeddings is None else output.patch_embeddings[i],
            distance=float(output.distance[i]),
        )
        for i in range(len(images))
    ]


def check_typical(manifest: Manifest, encoding: Encoding, force: bool = False) -> tuple[str, ...]:
    """Compare an image's distance from the training images with the bundle's limits.

    Args:
        manifest: of the bundle.
        encoding: of the study; one without an image passes.
        force: only warn of what would be refused.

    Returns:
        Warnings for the reader of the report.

    Raises:
        NotAChestRadiographError: too far for a report to mean anything.
    """
    limits, distance = manifest.typicality, encoding.distance
    if distance is None or distance <= limits.warn:
        return ()
    if distance <= limits.refuse:
        return ("The image is unlike the training images: the report may mean nothing.",)
    if force:
        return ("The image does not look like a frontal chest radiograph: the report means nothing.",)
    raise NotAChestRadiographError("The image does not look like a frontal chest radiograph.")


def encode_tags(manifest: Manifest, tags: dict[str, float]) -> Encoding:
    """Take tag probabilities from elsewhere in place of an image.

    Args:
        manifest: of the bundle.
        tags: probabilities by the classifier's tag names; the bundle's own tags come first in the result.

    Raises:
        InvalidTagsError: no name that the bundle knows, or a value that is no probability.
    """
    for name, probability in tags.items():
        if not (math.isfinite(probability) and 0 <= probability <= 1):
            raise InvalidTagsError(f"The value of {name!r} is not a probability.")
    sources = (evidence.inputs for evidence in manifest.evidence.values())
    names = set(manifest.tag_names).union(manifest.reporting_names, manifest.aliases, *sources)
    if names.isdisjoint(tags):
        raise InvalidTagsError("None of the given tags is known to the bundle.")
    ordered = [tag for tag in manifest.tag_names if tag in tags]
    ordered += [tag for tag in tags if tag not in manifest.tag_names]
    return Encoding(tags={tag: float(tags[tag]) for tag in ordered}, patches=None, embedding=None)
