"""Encode: images, or given tag probabilities, to what the decoder reads."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from cxreport.bundle import Manifest
from cxreport.errors import InvalidTagsError
from cxreport.types import Encoding, Grey

if TYPE_CHECKING:
    from cxreport.session import Model


def encode(model: Model, images: list[Grey]) -> list[Encoding]:
    """Run the encoder and tag head.

    Args:
        model: a loaded bundle.
        images: (S, S) uint8 each, as `preprocess.network_input` makes them.
    """
    if not images:
        return []
    output = model.encode_batch(np.stack(images)[:, None])
    names = model.manifest.tag_names
    return [
        Encoding(dict(zip(names, map(float, probabilities), strict=True)), patches, embedding)
        for patches, probabilities, embedding in zip(*output, strict=True)
    ]


def encode_tags(manifest: Manifest, tags: dict[str, float]) -> Encoding:
    """Take given tag probabilities in place of an image.

    Args:
        manifest: of the bundle.
        tags: probabilities by the classifier's tag names; the bundle's own tags come first in the result.

    Raises:
        InvalidTagsError: none that the bundle knows, or something that is no probability.
    """
    for name, probability in tags.items():
        if not (math.isfinite(probability) and 0 <= probability <= 1):
            raise InvalidTagsError(f"The value of {name!r} is not a probability.")
    sources = (evidence.inputs for evidence in manifest.evidence.values())
    known = set(manifest.tag_names).union(manifest.reporting_names, manifest.aliases, *sources)
    if not known & tags.keys():
        raise InvalidTagsError("None of the given tags is known to the bundle.")
    ordered = [t for t in manifest.tag_names if t in tags]
    ordered += [t for t in tags if t not in manifest.tag_names]
    return Encoding({t: float(tags[t]) for t in ordered}, None, None)
