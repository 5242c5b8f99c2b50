"""Whether the model looks where radiologists look, and whether it matters where it looks: boxes and a deletion test."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxreport.bundle import Manifest
from cxreport.decode import DecodeOptions, decode
from cxreport.encode import encode
from cxreport.errors import UsageError
from cxreport.evaluate.activation import Head, activation_map, recover_head
from cxreport.evaluate.boxes import BoxedImage, box_mask, find_boxed, read_boxes
from cxreport.evaluate.deletion import MOST, RANDOM_MASKS, SHARE, Deletion, Watched, evenly, measure_deletion
from cxreport.evaluate.drafting import EvaluateOptions, missing_data_told
from cxreport.evaluate.places import Place, PlaceFigures, measure_places
from cxreport.explain import AskedTag, asked_tags, tag_map
from cxreport.plan import HEAD, make_plan
from cxreport.preprocess import network_input
from cxreport.session import Model
from cxreport.train.nih import FINDINGS, LabelledImages, read_split
from cxreport.types import Encoding, Floats, Grey, Plan

_BATCH = 32


@dataclass(frozen=True)
class BoxedPair:
    """An image and a finding that has boxes on it."""

    image: str
    finding: str
    val: bool
    """Whether the image is of a val patient."""
    told: bool
    """Whether the report has a sentence planned for the finding's tag."""


@dataclass(frozen=True)
class Grounding:
    """Everything measured about where the model looks."""

    boxes: int
    """On the images."""
    sets: tuple[PlaceFigures, ...]
    """All boxed images, and those of val patients where there are some."""
    head_images: int
    """Val images that the tag head was recovered from, for the class activation maps."""
    head_residual: float
    """In log odds, on val images that were held out; without enough of them, nan, and there are no such maps."""
    deletion: Deletion | None
    """None where no val image is labelled with a finding that the bundle tells."""
    pairs: tuple[BoxedPair, ...]

    @property
    def signature(self) -> str:
        """How it was measured."""
        images = ", ".join(f"{some.name} ({some.images})" for some in self.sets)
        masked = f"; {SHARE:.0%} masked, {MOST} images a finding at most, {RANDOM_MASKS} random masks"
        return f"boxes {self.boxes} on {images}{masked if self.deletion else ''}"


@dataclass(eq=False)
class _Image:
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
class _Seen:
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


def evaluate_grounding(model: Model, folders: Sequence[Path], boxes: Path, options: EvaluateOptions) -> Grounding:
    """Compare maps with boxes, and mask what they attend to in the val images.

    Every image is encoded once, and those of the deletion test once more for each mask.

    Args:
        model: a bundle whose tag head knows findings of NIH ChestX-ray14 and that plans its reports.
        folders: of the layout of NIH ChestX-ray14, each with a ``val_list.txt``.
        boxes: file of radiologists' boxes (see `boxes`).
        options: how much is measured; a limit counts for boxed images and val images alike.

    Raises:
        UsageError: a file is missing or unfit, no image has a box, or the bundle plans no report.
    """
    asked = _asked(model.manifest)
    size = model.manifest.image_size
    with missing_data_told():
        marked = find_boxed(folders, read_boxes(boxes), tuple(asked), size, options.limit)
        val = reduce(add, (read_split(folder, "val", size) for folder in folders))
    val = _distinct(val, options.limit)
    images = {name: _Image(pixels) for name, pixels in zip(val.names, val.pixels, strict=True)}
    _choose(images, val, [name for name in asked if name in model.manifest.tag_names])
    for image in marked:
        images.setdefault(image.name, _Image(image.pixels)).boxed = image
    seen = dict(zip(images, _look(model, list(images.values()), asked, options), strict=True))
    head = _head([seen[name] for name in val.names])
    watched = [_watched(model, head, images[name], seen[name]) for name in val.names if images[name].labels]
    places = [p for name, image in images.items() for p in _places(model, head, name, image, seen[name])]
    return Grounding(
        sum(len(of) for image in marked for of in image.boxes.values()),
        measure_places(places, options.bootstrap),
        head.images,
        head.residual,
        _deletion(model, watched, val.pixels, options) if watched else None,
        tuple(BoxedPair(p.image, p.finding, p.val, p.sentence is not None) for p in places),
    )


def _asked(manifest: Manifest) -> dict[str, AskedTag]:
    """Finding -> the reporting tag that tells it."""
    names = [name for name in FINDINGS if name in manifest.aliases or name in manifest.reporting_names]
    if not names:
        raise UsageError("The bundle plans no sentence about a finding.", hint="Leave --boxes out, or take another.")
    return {name: asked_tags(manifest, [name])[0] for name in names}


def _distinct(images: LabelledImages, limit: int | None) -> LabelledImages:
    """The first of each name, and only so many."""
    first = {name: i for i, name in reversed(list(enumerate(images.names)))}
    rows = sorted(first.values())[:limit]
    return LabelledImages(images.pixels[rows], images.labels[rows], tuple(images.names[i] for i in rows))


def _choose(images: Mapping[str, _Image], val: LabelledImages, findings: Sequence[str]) -> None:
    """Choose the images of the deletion test."""
    for finding in findings:
        for row in evenly(np.flatnonzero(val.labels[:, FINDINGS.index(finding)]), MOST):
            images[val.names[row]].labels.append(finding)


def _look(
    model: Model, images: Sequence[_Image], asked: Mapping[str, AskedTag], options: EvaluateOptions
) -> Iterator[_Seen]:
    """Encode images and keep what is needed of them."""
    for start in range(0, len(images), _BATCH):
        batch = images[start : start + _BATCH]
        encodings = _encode(model, [image.pixels for image in batch])
        plans = [make_plan(model.manifest, encoding, HEAD) for encoding in encodings]
        boxed = [i for i, image in enumerate(batch) if image.boxed]
        told = _told(model, [encodings[i] for i in boxed], [plans[i] for i in boxed])
        for i, (image, encoding, plan) in enumerate(zip(batch, encodings, plans, strict=True)):
            sentences = told[boxed.index(i)] if image.boxed else {}
            own = {name: sentences[asked[name].tag] for name in image.findings if asked[name].tag in sentences}
            yield _seen(encoding, {n: tag_map(model, encoding, plan, asked[n]) for n in image.findings}, own)
        options.drafted(start + len(batch))


def _seen(encoding: Encoding, maps: dict[str, Floats], told: dict[str, Floats]) -> _Seen:
    patches = encoding.patches
    assert patches is not None  # it is of an image
    return _Seen(patches.mean(0, dtype=np.float64), encoding.tags, patches if maps else None, maps, told)


def _encode(model: Model, images: Sequence[Grey]) -> list[Encoding]:
    size, channels = model.manifest.image_size, model.manifest.channels
    return encode(model, [network_input(image, size, channels) for image in images])


def _told(model: Model, encodings: Sequence[Encoding], plans: Sequence[Plan]) -> list[dict[int, Floats]]:
    """For each report: reporting tag -> map of the first sentence planned to tell it, as `generate` gives it."""
    if not encodings:
        return []
    return [
        {
            s.planned: _square(s.attention)
            for s in reversed(found.sentences)
            if s.planned is not None and s.attention is not None
        }
        for found in decode(model, encodings, plans, DecodeOptions(attention=True))
    ]


def _square(weights: Floats) -> Floats:
    """(P,) -> (rows, columns)."""
    side = math.isqrt(weights.size)
    return weights.reshape(side, side)


def _head(seen: Sequence[_Seen]) -> Head:
    """Recover the tag head from the val images."""
    return recover_head(
        np.stack([one.mean for one in seen]), np.array([list(one.tags.values()) for one in seen], np.float64)
    )


def _activation(model: Model, head: Head, seen: _Seen, finding: str) -> Floats | None:
    names = model.manifest.tag_names
    if not head.recovered or finding not in names or seen.patches is None:
        return None
    return activation_map(seen.patches, head.weights[names.index(finding)])


def _places(model: Model, head: Head, name: str, image: _Image, seen: _Seen) -> Iterator[Place]:
    if image.boxed:
        for finding, boxes in image.boxed.boxes.items():
            yield Place(
                name,
                finding,
                image.boxed.val,
                box_mask(boxes, model.manifest.image_size),
                seen.maps[finding],
                seen.told.get(finding),
                _activation(model, head, seen, finding),
            )


def _watched(model: Model, head: Head, image: _Image, seen: _Seen) -> Watched:
    maps = {name: (seen.maps[name], _activation(model, head, seen, name)) for name in image.labels}
    return Watched(image.pixels, seen.tags, maps)


def _deletion(
    model: Model, watched: Sequence[Watched], pixels: NDArray[np.uint8], options: EvaluateOptions
) -> Deletion:
    """Mask by the mean val image, where ``pixels`` (N, S, S) are all of them."""
    blank = np.floor(pixels.mean(0) + 0.5).astype(np.uint8)

    def probabilities(images: list[Grey]) -> list[Mapping[str, float]]:
        return [encoding.tags for encoding in _encode(model, images)]

    return measure_deletion(watched, blank, probabilities, options.bootstrap)
