"""Grounding: maps against the boxes of radiologists, and the deletion test on what the maps attend to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np

from cxreport.datasets.nih import FINDINGS, LabelledImages, read_split
from cxreport.errors import UsageError
from cxreport.evaluate.drafting import EvaluateOptions, encode_images, missing_files_reported
from cxreport.evaluate.grounding.activation import Head, activation_map, recover_head
from cxreport.evaluate.grounding.boxes import BoxedImage, box_mask, find_boxed, read_boxes
from cxreport.evaluate.grounding.deletion import (
    MOST,
    RANDOM_MASKS,
    SHARE,
    Deletion,
    DeletionImage,
    evenly,
    measure_deletion,
)
from cxreport.evaluate.grounding.encode_once import ImageRequest, Observation, observe
from cxreport.evaluate.grounding.summary import BoxedFinding, BoxFigures, measure_maps
from cxreport.explain.explain import TagQuery, tag_queries
from cxreport.model.manifest import Manifest
from cxreport.model.session import Model
from cxreport.text.tokens import has_known_word
from cxreport.types import Floats, Grey


@dataclass(frozen=True)
class BoxedPair:
    """Image and a finding that has boxes on it."""

    image: str
    finding: str
    val: bool
    """True if the image is of a val patient."""
    told: bool
    """True if the report has a sentence planned for the finding's tag."""


@dataclass(frozen=True)
class Grounding:
    """Everything measured about where the model looks."""

    boxes: int
    """Boxes on the images."""
    sets: tuple[BoxFigures, ...]
    """All boxed images, and those of val patients where there are some."""
    head_images: int
    """Val images that the tag head was recovered from, for the class activation maps."""
    head_residuals: dict[str, float]
    """Finding -> error on held-out val images, in standard deviations of its log odds; nan without enough of them."""
    unrecovered: tuple[str, ...]
    """Findings without class activation maps, as the error is too large or not known."""
    deletion: Deletion | None
    """None where no val image is labelled with a finding that the bundle reports."""
    pairs: tuple[BoxedPair, ...]

    @property
    def signature(self) -> str:
        """Boxes, images and settings of the deletion test."""
        images = ", ".join(f"{boxed.name} ({boxed.images})" for boxed in self.sets)
        masked = f"; {SHARE:.0%} masked, {MOST} images a finding at most, {RANDOM_MASKS} random masks"
        return f"boxes {self.boxes} on {images}{masked if self.deletion else ''}"


def evaluate_grounding(model: Model, folders: Sequence[Path], boxes: Path, options: EvaluateOptions) -> Grounding:
    """Compare maps with boxes, and mask what they attend to in the val images.

    Every image is encoded once, and those of the deletion test once more for each mask.

    Args:
        model: a bundle whose tag head knows findings of NIH ChestX-ray14 and that plans its reports.
        folders: of the layout of NIH ChestX-ray14, each with a ``val_list.txt``.
        boxes: file of radiologists' boxes (see `read_boxes`).
        options: how much is measured; a limit counts for boxed images and val images alike.

    Raises:
        UsageError: a file is missing or unfit, no image has a box, or the bundle plans no report.
    """
    queries = _queries(model.manifest)
    size, tags = model.manifest.image_size, model.manifest.tag_names
    columns = {finding: tags.index(finding) for finding in queries if finding in tags}
    with missing_files_reported():
        boxed = find_boxed(folders, read_boxes(boxes), tuple(queries), size, options.limit)
        val = reduce(add, (read_split(folder, "val", size) for folder in folders))
    val = _distinct(val, options.limit)
    requests = _requests(val, boxed, tuple(columns))
    observations = dict(zip(requests, observe(model, list(requests.values()), queries, options), strict=True))
    head = _head([observations[name] for name in val.names])
    maps = _Maps(model, head, requests, observations)
    pairs = maps.boxed()
    return Grounding(
        boxes=sum(len(boxes) for image in boxed for boxes in image.boxes.values()),
        sets=measure_maps(pairs, options.bootstrap),
        head_images=head.images,
        head_residuals={finding: float(head.residuals[column]) for finding, column in columns.items()},
        unrecovered=tuple(finding for finding, column in columns.items() if not head.recovered[column]),
        deletion=_deletion(model, maps.labelled(val.names), val, options),
        pairs=tuple(
            BoxedPair(image=pair.image, finding=pair.finding, val=pair.val, told=pair.sentence is not None)
            for pair in pairs
        ),
    )


def _queries(manifest: Manifest) -> dict[str, TagQuery]:
    """Find the reporting tag that states each finding."""
    names = [name for name in FINDINGS if name in manifest.aliases or name in manifest.reporting_names]
    if not names:
        raise UsageError("The bundle plans no sentence about a finding.", hint="Leave --boxes out, or take another.")
    return {name: _query(manifest, name) for name in names}


def _query(manifest: Manifest, finding: str) -> TagQuery:
    """Ask for a finding by its own name, or by its tag's where the text encoder knows no word of the former."""
    tag = tag_queries(manifest, [finding])[0]
    if not manifest.embeds_texts or has_known_word(manifest.text_vocabulary, tag.text):
        return tag
    return tag_queries(manifest, [manifest.aliases.get(finding, finding)])[0]


def _distinct(images: LabelledImages, limit: int | None) -> LabelledImages:
    """Images without repeated names, at most ``limit``."""
    first = {name: i for i, name in reversed(list(enumerate(images.names)))}
    rows = sorted(first.values())[:limit]
    return LabelledImages(images.pixels[rows], images.labels[rows], tuple(images.names[i] for i in rows))


def _requests(val: LabelledImages, boxed: Sequence[BoxedImage], findings: Sequence[str]) -> dict[str, ImageRequest]:
    """Images to encode, by name: the val images, some of them for the deletion test, and those with boxes."""
    requests = {name: ImageRequest(pixels) for name, pixels in zip(val.names, val.pixels, strict=True)}
    for finding in findings:
        for row in evenly(np.flatnonzero(val.labels[:, FINDINGS.index(finding)]), MOST):
            requests[val.names[row]].labels.append(finding)
    for image in boxed:
        requests.setdefault(image.name, ImageRequest(image.pixels)).boxed = image
    return requests


def _head(observations: Sequence[Observation]) -> Head:
    """Recover the tag head from the val images."""
    means = np.stack([observation.mean for observation in observations])
    return recover_head(means, np.array([list(o.tags.values()) for o in observations], np.float64))


@dataclass(frozen=True, eq=False)
class _Maps:
    """Maps of all images that have boxes or take part in the deletion test."""

    model: Model
    head: Head
    requests: Mapping[str, ImageRequest]
    observations: Mapping[str, Observation]

    def boxed(self) -> list[BoxedFinding]:
        """Boxed findings with their maps, in the order of `FINDINGS`."""
        images = [request.boxed for request in self.requests.values() if request.boxed]
        pairs = [pair for image in images for pair in self._boxed(image)]
        return sorted(pairs, key=lambda pair: FINDINGS.index(pair.finding))

    def labelled(self, names: Sequence[str]) -> list[DeletionImage]:
        """Images of the deletion test, among the named ones."""
        images = []
        for name in names:
            request, observation = self.requests[name], self.observations[name]
            maps = {label: (observation.maps[label], self._activation(name, label)) for label in request.labels}
            if maps:
                images.append(DeletionImage(pixels=request.pixels, probabilities=observation.tags, maps=maps))
        return images

    def _boxed(self, image: BoxedImage) -> Iterator[BoxedFinding]:
        observation = self.observations[image.name]
        for finding, boxes in image.boxes.items():
            yield BoxedFinding(
                image=image.name,
                finding=finding,
                val=image.val,
                mask=box_mask(boxes, self.model.manifest.image_size),
                model=observation.maps[finding],
                sentence=observation.report_maps.get(finding),
                activation=self._activation(image.name, finding),
            )

    def _activation(self, name: str, finding: str) -> Floats | None:
        """Class activation map; None of a finding that is no tag, or whose weights were not recovered."""
        tags, patches = self.model.manifest.tag_names, self.observations[name].patches
        tag = tags.index(finding) if finding in tags else None
        if tag is None or not self.head.recovered[tag] or patches is None:
            return None
        return activation_map(patches, self.head.weights[tag])


def _deletion(
    model: Model, images: Sequence[DeletionImage], val: LabelledImages, options: EvaluateOptions
) -> Deletion | None:
    """Mask by the mean val image; None without an image to mask."""
    if not images:
        return None
    blank = np.floor(val.pixels.mean(0) + 0.5).astype(np.uint8)

    def probabilities(masked_images: list[Grey]) -> list[Mapping[str, float]]:
        return [encoding.tags for encoding in encode_images(model, masked_images)]

    return measure_deletion(images, blank, probabilities, options.bootstrap)
