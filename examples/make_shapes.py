"""Write a small generated data set in the layout of the COCO captions: two coloured shapes, five captions a picture.

Run with ``python examples/make_shapes.py DIR [--images 1500] [--side 64] [--seed 0]``; a seed gives the same data each
time, and a picture does not depend on how many there are. Every fifth picture is in ``val2017``, the others are in
``train2017``. Beside what COCO has, ``DIR/dataset_coco.json`` is a split file as Karpathy's (a third of ``val2017`` is
``test``), and ``DIR/shapes_boxes.json`` has the boxes of the shapes of each picture.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

KINDS = ("circle", "square", "triangle", "star", "cross", "ring")
COLOURS = {
    "red": (214, 39, 40),
    "green": (44, 160, 44),
    "blue": (31, 95, 200),
    "yellow": (240, 200, 0),
    "purple": (140, 60, 180),
    "orange": (255, 127, 14),
}
RADII = {"small": 0.10, "large": 0.17}
"""Shares of the side."""
AXES = ("across", "down")
FAMILIES: dict[str, tuple[tuple[str, ...], ...]] = {
    "across": (
        ("{0} is left of {1}", "{0} sits left of {1}", "{0} is to the left of {1}"),
        ("{1} is right of {0}", "{1} sits right of {0}", "{1} is to the right of {0}"),
        ("{0} on the left and {1} on the right", "at left {0}, at right {1}", "on the left {0}, on the right {1}"),
        ("{0} with {1} to its right", "{0} has {1} on its right", "{0} and, to its right, {1}"),
        ("{1} with {0} to its left", "{1} has {0} on its left", "{1} and, to its left, {0}"),
    ),
    "down": (
        ("{0} is above {1}", "{0} sits above {1}", "{0} is higher than {1}"),
        ("{1} is below {0}", "{1} sits below {0}", "{1} is lower than {0}"),
        ("{0} at the top and {1} at the bottom", "{0} over {1}", "at the top {0}, at the bottom {1}"),
        ("{0} with {1} below it", "{0} has {1} under it", "{0} and, beneath it, {1}"),
        ("{1} with {0} above it", "{1} has {0} over it", "{1} and, above it, {0}"),
    ),
}
"""Wordings by the axis along which the shapes lie: {0} is the left or upper one. A picture has one of each family."""
FAVOURITE = 0.65
"""How often the first wording of a family is taken; the others share the rest."""
SIZES_TOLD = 0.3
"""How often a caption tells the sizes."""
VAL_EVERY, TEST_EVERY = 5, 15
FINE = 8
"""Shapes are drawn so many times larger and then averaged."""


@dataclass(frozen=True)
class Shape:
    """One shape: its centre in shares of the side, across and down."""

    kind: str
    colour: str
    size: str
    centre: tuple[float, float]


@dataclass(frozen=True)
class Scene:
    """What a picture shows: two shapes of different kinds and colours along an axis, the left or upper one first."""

    axis: str
    shapes: tuple[Shape, Shape]


def main(folder: Path, images: int, side: int, seed: int) -> None:
    """Write the data set.

    Args:
        folder: where to.
        images: number of pictures, ids from 1.
        side: of the pictures in pixels.
        seed: of everything that is drawn at random.
    """
    subsets: dict[str, dict[str, list[dict[str, Any]]]] = {}
    karpathy: list[dict[str, Any]] = []
    boxes: dict[str, list[dict[str, Any]]] = {}
    for number in range(1, images + 1):
        subset = "val" if number % VAL_EVERY == 0 else "train"
        split = "test" if number % TEST_EVERY == 0 else subset
        name = f"{number:012d}.jpg"
        scene, captions, rng = picture(number, seed)
        pixels, boxes[str(number)] = paint(scene, side, rng)
        path = folder / f"{subset}2017" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels.save(path, quality=95, subsampling=0)
        listing = subsets.setdefault(subset, {"images": [], "annotations": []})
        listing["images"].append({"id": number, "file_name": name, "height": side, "width": side})
        ids = [len(captions) * (number - 1) + i for i in range(len(captions))]
        listing["annotations"] += [
            {"id": i, "image_id": number, "caption": caption} for i, caption in zip(ids, captions, strict=True)
        ]
        karpathy.append(
            {
                "filename": name,
                "filepath": f"{subset}2017",
                "cocoid": number,
                "split": split,
                "sentids": ids,
                "sentences": [{"raw": caption, "tokens": tokens(caption)} for caption in captions],
            }
        )
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    info = {"description": "Generated shapes with captions", "version": "1", "year": 2017}
    for subset, listing in subsets.items():
        write(folder / "annotations" / f"captions_{subset}2017.json", {"info": info, "licenses": [], **listing})
    write(folder / "dataset_coco.json", {"images": karpathy, "dataset": "coco"})
    write(folder / "shapes_boxes.json", boxes)


def picture(number: int, seed: int) -> tuple[Scene, list[str], np.random.Generator]:
    """Give the scene and the captions of a picture, and the generator that its painting goes on with."""
    rng = np.random.default_rng([seed, number])
    scene = draw_scene(rng)
    return scene, describe(scene, rng), rng


def draw_scene(rng: np.random.Generator) -> Scene:
    """Draw two shapes that lie clearly side by side, or one above the other, and never overlap."""
    axis = str(rng.choice(AXES))
    kinds, colours = rng.choice(KINDS, 2, replace=False), rng.choice(list(COLOURS), 2, replace=False)
    sizes = rng.choice(list(RADII), 2)
    along = (rng.uniform(0.2, 0.3), rng.uniform(0.7, 0.8))
    beside = np.clip(rng.uniform(0.25, 0.75) + rng.uniform(-0.08, 0.08, 2), 0.2, 0.8)
    first, second = (
        Shape(str(kinds[i]), str(colours[i]), str(sizes[i]), (along[i], beside[i])[:: 1 if axis == "across" else -1])
        for i in range(2)
    )
    return Scene(axis, (first, second))


def describe(scene: Scene, rng: np.random.Generator) -> list[str]:
    """Word five different captions of a scene, one of each family."""
    captions = []
    for family in FAMILIES[scene.axis]:
        wording = family[0] if rng.random() < FAVOURITE else family[int(rng.integers(1, len(family)))]
        captions.append(word(scene, wording, bool(rng.random() < SIZES_TOLD)))
    return [captions[i] for i in rng.permutation(len(captions))]


def word(scene: Scene, wording: str, sizes: bool) -> str:
    """Word a caption with a capital letter and a full stop."""
    caption = wording.format(*(phrase(shape, sizes) for shape in scene.shapes))
    return f"{caption[0].upper()}{caption[1:]}."


def phrase(shape: Shape, sizes: bool) -> str:
    """Name a shape with its article."""
    words = f"{shape.size} {shape.colour} {shape.kind}" if sizes else f"{shape.colour} {shape.kind}"
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def tokens(caption: str) -> list[str]:
    """Cut a caption into lower-case words without marks."""
    return caption.lower().replace(".", "").replace(",", "").split()


def paint(scene: Scene, side: int, rng: np.random.Generator) -> tuple[Image.Image, list[dict[str, Any]]]:
    """Paint a scene on light noise.

    Returns:
        The picture, RGB (side, side), and for each shape its kind, colour and box [x, y, width, height] in pixels.
    """
    pixels = rng.normal(232, 6, (side, side, 3))
    boxes = []
    for shape in scene.shapes:
        mask = paint_mask(shape, side)
        left, top, right, bottom = mask.getbbox() or (0, 0, 0, 0)
        boxes.append({"kind": shape.kind, "colour": shape.colour, "box": [left, top, right - left, bottom - top]})
        share = np.asarray(mask, np.float64)[..., None] / 255
        colour = np.array(COLOURS[shape.colour]) + rng.uniform(-12, 12, 3)
        pixels = pixels * (1 - share) + colour * share
    return Image.fromarray(np.clip(pixels.round(), 0, 255).astype(np.uint8)), boxes


def paint_mask(shape: Shape, side: int) -> Image.Image:
    """Paint where a shape is: (side, side) grey, 255 inside."""
    mask = Image.new("L", (side * FINE, side * FINE))
    draw = ImageDraw.Draw(mask)
    x, y = (place * side * FINE for place in shape.centre)
    radius = RADII[shape.size] * side * FINE
    around = (x - radius, y - radius, x + radius, y + radius)
    if shape.kind == "circle":
        draw.ellipse(around, fill=255)
    elif shape.kind == "ring":
        draw.ellipse(around, outline=255, width=round(radius * 0.4))
    elif shape.kind == "square":
        draw.rectangle((x - 0.85 * radius, y - 0.85 * radius, x + 0.85 * radius, y + 0.85 * radius), fill=255)
    elif shape.kind == "cross":
        draw.rectangle((x - radius, y - 0.3 * radius, x + radius, y + 0.3 * radius), fill=255)
        draw.rectangle((x - 0.3 * radius, y - radius, x + 0.3 * radius, y + radius), fill=255)
    else:
        radii = (1.0,) * 3 if shape.kind == "triangle" else (1.0, 0.4) * 5
        angles = [2 * math.pi * i / len(radii) for i in range(len(radii))]
        draw.polygon(
            [(x + radius * r * math.sin(a), y - radius * r * math.cos(a)) for r, a in zip(radii, angles, strict=True)],
            fill=255,
        )
    return mask.reduce(FINE)


def write(path: Path, value: dict[str, Any]) -> None:
    """Write JSON."""
    path.write_text(json.dumps(value), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--images", type=int, default=1500, metavar="N")
    parser.add_argument("--side", type=int, default=64, metavar="PIXELS")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    arguments = parser.parse_args()
    main(arguments.folder, arguments.images, arguments.side, arguments.seed)
