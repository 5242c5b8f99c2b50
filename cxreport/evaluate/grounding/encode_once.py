"""What a model sees in images and where it looks: each is encoded once, and what is measured later is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cxreport.drafting.decode import DecodeOptions, decode
from cxreport.drafting.grid import square
from cxreport.drafting.plan import HEAD, make_plan
from cxreport.evaluate.drafting import EvaluateOptions
from cxreport.evaluate.grounding.boxes import BoxedImage
from cxreport.explain.explain import AskedTag, tag_map
from cxreport.model.encode import encode
from cxreport.model.session import Model
from cxreport.reading.network_input import network_input
from cxreport.types import Encoding, Floats, Grey, Plan

_BATCH = 32


@dataclass(eq=False)
class LookedAt:
    """An image, and what of it is to be kept."""

    pixels: Grey
    boxed: BoxedImage | None = None
    labels: list[str] = field(default_factory=list)
    """Findings of the deletion test."""

    @property
    def findings(self) -> tuple[str, ...]:
        """Whose maps are needed."""
        return tuple(dict.fromkeys([*(self.boxed.boxes if self.boxed else ()), *self.labels]))


@dataclass(frozen=True, eq=False)
class Seen:
    """What the model sees in an image."""

    mean: NDArray[np.float64]
    """(D,) mean patch."""
    tags: dict[str, float]
    patches: Floats | None
    """(P, D); None where no map is needed, as they are large."""
    maps: dict[str, Floats]
    """Finding -> (rows, columns) where a sentence about it looks, or would look."""
    told: dict[str, Floats]
    """The same for the sentences that the report has."""


def look(
    model: Model, images: Sequence[LookedAt], asked: Mapping[str, AskedTag], options: EvaluateOptions
) -> Iterator[Seen]:
    """Encode images and keep what is needed of them.

    Args:
        model: a loaded bundle.
        images: to be seen.
        asked: finding -> the reporting tag that tells it.
        options: who is told of the progress.
    """
    for start in range(0, len(images), _BATCH):
        batch = images[start : start + _BATCH]
        encodings = encode_grey(model, [image.pixels for image in batch])
        plans = [make_plan(model.manifest, encoding, HEAD) for encoding in encodings]
        boxed = [i for i, image in enumerate(batch) if image.boxed]
        told = _told(model, [encodings[i] for i in boxed], [plans[i] for i in boxed])
        for i, (image, encoding, plan) in enumerate(zip(batch, encodings, plans, strict=True)):
            sentences = told[boxed.index(i)] if image.boxed else {}
            own = {name: sentences[asked[name].tag] for name in image.findings if asked[name].tag in sentences}
            yield _seen(encoding, {n: tag_map(model, encoding, plan, asked[n]) for n in image.findings}, own)
        options.drafted(start + len(batch))


def _seen(encoding: Encoding, maps: dict[str, Floats], told: dict[str, Floats]) -> Seen:
    patches = encoding.patches
    assert patches is not None  # it is of an image
    return Seen(patches.mean(0, dtype=np.float64), encoding.tags, patches.copy() if maps else None, maps, told)


def encode_grey(model: Model, images: Sequence[Grey]) -> list[Encoding]:
    """Encode grey images (S, S), also by a bundle that takes colours."""
    size, channels = model.manifest.image_size, model.manifest.channels
    return encode(model, [network_input(image, size, channels) for image in images])


def _told(model: Model, encodings: Sequence[Encoding], plans: Sequence[Plan]) -> list[dict[int, Floats]]:
    """For each report: reporting tag -> map of the first sentence planned to tell it, as `generate` gives it."""
    if not encodings:
        return []
    return [
        {
            s.planned: square(s.attention)
            for s in reversed(found.sentences)
            if s.planned is not None and s.attention is not None
        }
        for found in decode(model, encodings, plans, DecodeOptions(attention=True))
    ]
