"""One encoding of each image: tags, patches and maps that the boxes and the deletion test need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cxreport.drafting.decode import DecodeOptions, decode
from cxreport.drafting.grid import square
from cxreport.drafting.plan import HEAD, make_plan
from cxreport.evaluate.drafting import BATCH, EvaluateOptions, encode_images
from cxreport.evaluate.grounding.boxes import BoxedImage
from cxreport.explain.explain import TagQuery, tag_map
from cxreport.model.session import Model
from cxreport.types import Encoding, Floats, Grey, Plan


@dataclass(eq=False)
class ImageRequest:
    """Image to encode, and the findings whose maps are needed."""

    pixels: Grey
    boxed: BoxedImage | None = None
    labels: list[str] = field(default_factory=list)
    """Findings of the deletion test."""

    @property
    def findings(self) -> tuple[str, ...]:
        """Findings whose maps are needed."""
        return tuple(dict.fromkeys([*(self.boxed.boxes if self.boxed else ()), *self.labels]))


@dataclass(frozen=True, eq=False)
class Observation:
    """Tags, patches and maps of an image."""

    mean: NDArray[np.float64]
    """(D,) mean patch."""
    tags: dict[str, float]
    patches: Floats | None
    """(P, D); None where no map is needed, as they are large."""
    maps: dict[str, Floats]
    """Finding -> (rows, columns) map of a sentence about it, written or not."""
    report_maps: dict[str, Floats]
    """Finding -> map of the report's own sentence, for those that the report has one of."""


def observe(
    model: Model, requests: Sequence[ImageRequest], queries: Mapping[str, TagQuery], options: EvaluateOptions
) -> Iterator[Observation]:
    """Encode images, and yield what is needed of each.

    Args:
        model: a loaded bundle.
        requests: images and findings.
        queries: finding -> the reporting tag that states it.
        options: for its progress.
    """
    for start in range(0, len(requests), BATCH):
        batch = requests[start : start + BATCH]
        encodings = list(encode_images(model, [request.pixels for request in batch]))
        plans = [make_plan(model.manifest, encoding, HEAD) for encoding in encodings]
        boxed = [i for i, request in enumerate(batch) if request.boxed]
        sentence_maps = dict(
            zip(boxed, _sentence_maps(model, [encodings[i] for i in boxed], [plans[i] for i in boxed]), strict=True)
        )
        for i, (request, encoding, plan) in enumerate(zip(batch, encodings, plans, strict=True)):
            by_tag = sentence_maps.get(i, {})
            yield _observation(
                encoding,
                maps={name: tag_map(model, encoding, plan, queries[name]) for name in request.findings},
                report_maps={
                    name: by_tag[queries[name].tag] for name in request.findings if queries[name].tag in by_tag
                },
            )
        options.report_progress(start + len(batch))


def _observation(encoding: Encoding, maps: dict[str, Floats], report_maps: dict[str, Floats]) -> Observation:
    patches = encoding.patches
    assert patches is not None  # it is of an image
    return Observation(
        mean=patches.mean(0, dtype=np.float64),
        tags=encoding.tags,
        patches=patches.copy() if maps else None,
        maps=maps,
        report_maps=report_maps,
    )


def _sentence_maps(model: Model, encodings: Sequence[Encoding], plans: Sequence[Plan]) -> list[dict[int, Floats]]:
    """For each report: reporting tag -> map of the first sentence planned to state it, as `generate` gives it."""
    if not encodings:
        return []
    return [
        {
            sentence.planned: square(sentence.attention)
            for sentence in reversed(decoding.sentences)
            if sentence.planned is not None and sentence.attention is not None
        }
        for decoding in decode(model, encodings, plans, DecodeOptions(attention=True))
    ]
