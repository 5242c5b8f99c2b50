"""Whether the model looks where radiologists look, and whether it matters where it looks: boxes and a deletion test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxreport.datasets.nih import FINDINGS, LabelledImages, read_split
from cxreport.errors import UsageError
from cxreport.evaluate.drafting import EvaluateOptions, missing_data_told
from cxreport.evaluate.grounding.activation import Head, activation_map, recover_head
from cxreport.evaluate.grounding.boxes import box_mask, find_boxed, read_boxes
from cxreport.evaluate.grounding.deletion import MOST, RANDOM_MASKS, SHARE, Deletion, Watched, evenly, measure_deletion
from cxreport.evaluate.grounding.encode_once import LookedAt, Seen, encode_grey, look
from cxreport.evaluate.grounding.summary import Place, PlaceFigures, measure_places
from cxreport.explain.explain import AskedTag, asked_tags
from cxreport.model.manifest import Manifest
from cxreport.model.session import Model
from cxreport.text.tokens import has_known_word
from cxreport.types import Floats, Grey


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
    head_residuals: dict[str, float]
    """Finding -> error on val images that were held out, in deviations of its log odds; nan without enough of them."""
    unrecovered: tuple[str, ...]
    """Findings without class activation maps, as the error is too large or not known."""
    deletion: Deletion | None
    """None where no val image is labelled with a finding that the bundle tells."""
    pairs: tuple[BoxedPair, ...]

    @property
    def signature(self) -> str:
        """How it was measured."""
        images = ", ".join(f"{some.name} ({some.images})" for some in self.sets)
        masked = f"; {SHARE:.0%} masked, {MOST} images a finding at most, {RANDOM_MASKS} random masks"
        return f"boxes {self.boxes} on {images}{masked if self.deletion else ''}"


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
    size, tags = model.manifest.image_size, model.manifest.tag_names
    columns = {name: tags.index(name) for name in asked if name in tags}
    with missing_data_told():
        marked = find_boxed(folders, read_boxes(boxes), tuple(asked), size, options.limit)
        val = reduce(add, (read_split(folder, "val", size) for folder in folders))
    val = _distinct(val, options.limit)
    images = {name: LookedAt(pixels) for name, pixels in zip(val.names, val.pixels, strict=True)}
    _choose(images, val, tuple(columns))
    for image in marked:
        images.setdefault(image.name, LookedAt(image.pixels)).boxed = image
    seen = dict(zip(images, look(model, list(images.values()), asked, options), strict=True))
    head = _head([seen[name] for name in val.names])
    watched = [_watched(model, head, images[name], seen[name]) for name in val.names if images[name].labels]
    places = [p for name, image in images.items() for p in _places(model, head, name, image, seen[name])]
    places.sort(key=lambda place: FINDINGS.index(place.finding))
    return Grounding(
        sum(len(of) for image in marked for of in image.boxes.values()),
        measure_places(places, options.bootstrap),
        head.images,
        {name: float(head.residuals[column]) for name, column in columns.items()},
        tuple(name for name, column in columns.items() if not head.recovered[column]),
        _deletion(model, watched, val.pixels, options) if watched else None,
        tuple(BoxedPair(p.image, p.finding, p.val, p.sentence is not None) for p in places),
    )


def _asked(manifest: Manifest) -> dict[str, AskedTag]:
    """Finding -> the reporting tag that tells it."""
    names = [name for name in FINDINGS if name in manifest.aliases or name in manifest.reporting_names]
    if not names:
        raise UsageError("The bundle plans no sentence about a finding.", hint="Leave --boxes out, or take another.")
    return {name: _known(manifest, name) for name in names}


def _known(manifest: Manifest, finding: str) -> AskedTag:
    """Ask for a finding by its own name, or by its tag's where the text encoder knows no word of the former."""
    own = asked_tags(manifest, [finding])[0]
    if not manifest.embeds_texts or has_known_word(manifest.text_vocabulary, own.text):
        return own
    return asked_tags(manifest, [manifest.aliases.get(finding, finding)])[0]


def _distinct(images: LabelledImages, limit: int | None) -> LabelledImages:
    """The first of each name, and only so many."""
    first = {name: i for i, name in reversed(list(enumerate(images.names)))}
    rows = sorted(first.values())[:limit]
    return LabelledImages(images.pixels[rows], images.labels[rows], tuple(images.names[i] for i in rows))


def _choose(images: Mapping[str, LookedAt], val: LabelledImages, findings: Sequence[str]) -> None:
    """Choose the images of the deletion test."""
    for finding in findings:
        for row in evenly(np.flatnonzero(val.labels[:, FINDINGS.index(finding)]), MOST):
            images[val.names[row]].labels.append(finding)


def _head(seen: Sequence[Seen]) -> Head:
    """Recover the tag head from the val images."""
    return recover_head(
        np.stack([one.mean for one in seen]), np.array([list(one.tags.values()) for one in seen], np.float64)
    )


def _activation(model: Model, head: Head, seen: Seen, finding: str) -> Floats | None:
    names = model.manifest.tag_names
    tag = names.index(finding) if finding in names else None
    if tag is None or not head.recovered[tag] or seen.patches is None:
        return None
    return activation_map(seen.patches, head.weights[tag])


def _places(model: Model, head: Head, name: str, image: LookedAt, seen: Seen) -> Iterator[Place]:
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


def _watched(model: Model, head: Head, image: LookedAt, seen: Seen) -> Watched:
    maps = {name: (seen.maps[name], _activation(model, head, seen, name)) for name in image.labels}
    return Watched(image.pixels, seen.tags, maps)


def _deletion(
    model: Model, watched: Sequence[Watched], pixels: NDArray[np.uint8], options: EvaluateOptions
) -> Deletion:
    """Mask by the mean val image, where ``pixels`` (N, S, S) are all of them."""
    blank = np.floor(pixels.mean(0) + 0.5).astype(np.uint8)

    def probabilities(images: list[Grey]) -> list[Mapping[str, float]]:
        return [encoding.tags for encoding in encode_grey(model, images)]

    return measure_deletion(watched, blank, probabilities, options.bootstrap)
