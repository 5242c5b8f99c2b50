"""Images with captions in COCO's layout: the generated ones, and their adapter."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import make_shapes
import numpy as np
import pytest
from PIL import Image

from cxreport.datasets.coco import read_boxes, read_captions
from cxreport.errors import TrainingError
from cxreport.evaluate import baselines
from cxreport.evaluate.grounding.words import shape_mask

IMAGES = 30


def words(caption: str) -> str:
    return " ".join(make_shapes.tokens(caption))


def test_the_layout_is_that_of_coco(shapes: Path) -> None:
    for subset, count in (("train", 24), ("val", 6)):
        data = json.loads((shapes / "annotations" / f"captions_{subset}2017.json").read_text())
        assert set(data) == {"info", "licenses", "images", "annotations"}
        assert len(data["images"]) == count
        for image in data["images"]:
            assert image["file_name"] == f"{image['id']:012d}.jpg"
            with Image.open(shapes / f"{subset}2017" / image["file_name"]) as opened:
                assert (opened.format, opened.mode) == ("JPEG", "RGB")
                assert opened.size == (image["width"], image["height"]) == (32, 32)
        ids = [annotation["image_id"] for annotation in data["annotations"]]
        assert sorted(ids) == sorted(image["id"] for image in data["images"] for _ in range(5))
    split = json.loads((shapes / "dataset_coco.json").read_text())
    assert split["dataset"] == "coco"
    assert [image["split"] for image in split["images"]].count("test") == 2
    for image in split["images"]:
        assert (shapes / image["filepath"] / image["filename"]).exists()
        assert len(set(image["sentids"])) == len(image["sentences"]) == 5
        for sentence in image["sentences"]:
            assert sentence["tokens"] == words(sentence["raw"]).split()


def test_the_same_pictures_each_time_however_many(shapes: Path, tmp_path: Path) -> None:
    make_shapes.main(tmp_path / "few", 7, side=32, seed=1)
    make_shapes.main(tmp_path / "other", 7, side=32, seed=2)
    name = "train2017/000000000007.jpg"
    assert (tmp_path / "few" / name).read_bytes() == (shapes / name).read_bytes()
    assert (tmp_path / "other" / name).read_bytes() != (shapes / name).read_bytes()
    few, many, reseeded = (read_captions(folder, "train") for folder in (tmp_path / "few", shapes, tmp_path / "other"))
    assert few[-1].captions == many[5].captions != reseeded[-1].captions


def test_boxes_hold_the_shapes(shapes: Path) -> None:
    for image in read_captions(shapes, "train"):
        boxes = read_boxes(shapes)[image.id]
        assert len({box.kind for box in boxes}) == len({box.colour for box in boxes}) == 2
        with Image.open(image.path) as opened:
            dark = np.asarray(opened, np.float64).min(2) < 150  # the background is about 232
        within = [shape_mask(box, (32, 32)) for box in boxes]
        assert not (within[0] & within[1]).any()
        assert not (dark & ~(within[0] | within[1])).any()
        assert all((dark & box).sum() > 0.15 * box.sum() for box in within)


def test_captions_name_both_shapes_and_where_they_are() -> None:
    opposite = {"left": "right", "above": "below"}
    for number in range(1, 60):
        scene, captions, _ = make_shapes.picture(number, 0)
        assert len(set(captions)) == 5
        first, second = scene.shapes
        assert first.centre[scene.axis == "down"] < second.centre[scene.axis == "down"] - 0.35
        for caption in captions:
            for shape in scene.shapes:
                assert f"{shape.colour} {shape.kind}" in caption
            assert " a orange" not in caption
        plain = make_shapes.word(scene, make_shapes.FAMILIES[scene.axis][0][0], False)
        relation = "left" if scene.axis == "across" else "above"
        assert relation in plain
        assert plain.index(first.kind) < plain.index(second.kind)
        assert opposite[relation] in make_shapes.FAMILIES[scene.axis][1][0]


def test_no_constant_scores_well_and_who_sees_the_picture_does() -> None:
    pytest.importorskip("pycocoevalcap", reason="the 'evaluate' extra brings it")
    from pycocoevalcap.bleu.bleu import Bleu

    pictures = [make_shapes.picture(number, 0)[:2] for number in range(1, 301)]
    references = [[words(caption) for caption in captions] for _, captions in pictures]

    def bleu(texts: Sequence[str]) -> float:
        sides = dict(enumerate(references)), {i: [text] for i, text in enumerate(texts)}
        return Bleu().compute_score(*sides, verbose=0)[0][-1]

    candidates = [caption for captions in references for caption in captions]
    best = candidates[baselines.best_constant(candidates, references)]
    assert 0.1 < bleu([best] * 300) <= 0.30
    captions = [words(make_shapes.word(scene, make_shapes.FAMILIES[scene.axis][0][0], False)) for scene, _ in pictures]
    assert bleu(captions) >= 0.70
    blind = [words(make_shapes.word(scene, make_shapes.FAMILIES[scene.axis][0][0], False)) for scene, _ in pictures[1:]]
    assert bleu([*blind, captions[0]]) <= 0.30


def test_the_split_file_says_which_images(shapes_copy: Path) -> None:
    assert [len(read_captions(shapes_copy, split)) for split in ("train", "val", "test")] == [24, 4, 2]
    split = json.loads((shapes_copy / "dataset_coco.json").read_text())
    split["images"][4]["split"] = "restval"  # image 5, of val2017
    split["images"][0]["split"] = "val"
    (shapes_copy / "dataset_coco.json").write_text(json.dumps(split))
    train, val = read_captions(shapes_copy, "train"), read_captions(shapes_copy, "val")
    assert [image.id for image in train][:5] == [2, 3, 4, 5, 6]
    assert train[3].path == shapes_copy / "val2017" / "000000000005.jpg"
    assert [image.id for image in val] == [1, 10, 20, 25]
    assert all(len(image.captions) == 5 and image.path.exists() for image in train + val)
    (shapes_copy / "dataset_coco.json").unlink()
    assert [image.id for image in read_captions(shapes_copy, "val")] == [5, 10, 15, 20, 25, 30]
    with pytest.raises(TrainingError, match=r"test split needs dataset_coco\.json"):
        read_captions(shapes_copy, "test")


def test_the_year_2014(shapes_copy: Path) -> None:
    expected = [(image.id, image.captions) for image in read_captions(shapes_copy, "train")]
    for path in (shapes_copy / "train2017", shapes_copy / "val2017", *(shapes_copy / "annotations").iterdir()):
        path.rename(path.with_name(path.name.replace("2017", "2014")))
    images = read_captions(shapes_copy, "train")
    assert [(image.id, image.captions) for image in images] == expected
    assert images[0].path.parent.name == "train2014"


def test_what_is_missing_is_named(shapes_copy: Path) -> None:
    (shapes_copy / "train2017" / "000000000003.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"000000000003\.jpg"):
        read_captions(shapes_copy, "train")
    path = shapes_copy / "annotations" / "captions_val2017.json"
    data = json.loads(path.read_text())
    path.write_text(json.dumps(data | {"annotations": data["annotations"][5:]}))
    with pytest.raises(TrainingError, match="image 5 has no caption"):
        read_captions(shapes_copy, "val")
    path.write_text(json.dumps({"images": [{}], "annotations": []}))
    with pytest.raises(TrainingError, match="not COCO captions"):
        read_captions(shapes_copy, "val")
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"captions_val2017\.json"):
        read_captions(shapes_copy, "val")
    (shapes_copy / "dataset_coco.json").write_text("{")
    with pytest.raises(TrainingError, match="not JSON"):
        read_captions(shapes_copy, "val")


def test_boxes(shapes_copy: Path) -> None:
    boxes = read_boxes(shapes_copy)
    assert sorted(boxes) == list(range(1, IMAGES + 1))
    (shapes_copy / "shapes_boxes.json").write_text('{"1": [{"kind": "ring", "colour": "red", "box": [1, 2, 3]}]}')
    with pytest.raises(TrainingError, match="not boxes"):
        read_boxes(shapes_copy)
    (shapes_copy / "shapes_boxes.json").unlink()
    assert read_boxes(shapes_copy) == {}
