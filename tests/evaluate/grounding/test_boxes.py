"""Box files, the images that they are of, and boxes as masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from boxed_images import FLUID, HEADER, SIZE
from training_data import make_nih

from cxreport.errors import UsageError
from cxreport.evaluate.grounding.boxes import box_mask, find_boxed, read_boxes


def test_boxes_of_a_finding_on_an_image_count_together(tmp_path: Path) -> None:
    path = tmp_path / "boxes.csv"
    path.write_text(f"{HEADER}\na.png,Infiltrate,0,0,512,256\na.png,Infiltrate,512,768,512,256\nb.png,Mass,1,2,4,8\n")
    boxes = read_boxes(path)
    assert {name: list(of) for name, of in boxes.items()} == {"a.png": ["Infiltration"], "b.png": ["Mass"]}
    mask = box_mask(boxes["a.png"]["Infiltration"], 4)
    assert mask.tolist() == [[1, 1, 0, 0], [0] * 4, [0] * 4, [0, 0, 1, 1]]
    assert boxes["b.png"]["Mass"] == ((1 / 1024, 2 / 1024, 4 / 1024, 8 / 1024),)


def test_boxes_as_nih_published_them(tmp_path: Path) -> None:
    path = tmp_path / "boxes.csv"
    path.write_text("Image Index,Finding Label,Bbox [x,y,w,h],,,\na.png,Mass,512,0,256,1024,,,\n")
    assert read_boxes(path) == {"a.png": {"Mass": ((0.5, 0, 0.25, 1),)}}


def test_a_box_smaller_than_a_pixel_has_the_one_that_it_is_in() -> None:
    mask = box_mask([(0.26, 0.51, 0.05, 0.02)], 4)
    assert np.argwhere(mask).tolist() == [[2, 1]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Image Index,Finding Label,x,y,w\n", "no column h"),
        ("", "no column Image Index, Finding Label, x, y, w, h"),
        (f"{HEADER}\na.png,Mass,1,2,3,4\na.png,Mass,1,2,x,4\n", "row 3 has no box"),
        (f"{HEADER}\na.png,Mass,1\n", "row 2 has no box"),
        (f"{HEADER}\na.png,Mass,1,2,0,4\n", "row 2 has a box without an area"),
        (f"{HEADER}\na.png,Mass,nan,2,3,4\n", "row 2 has a box without an area"),
    ],
)
def test_unfit_box_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "boxes.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=message) as raised:
        read_boxes(path)
    assert "Image Index, Finding Label, x, y, w, h" in raised.value.hint


def test_what_is_no_text_is_no_box_file(tmp_path: Path) -> None:
    path = tmp_path / "boxes.csv"
    path.write_bytes(b"\x89PNG\xff\xfe")
    for unfit in (path, tmp_path):
        with pytest.raises(UsageError, match="cannot be read as a table"):
            read_boxes(unfit)


def test_boxed_images_are_found_in_any_split_and_folder(nih: Path, box_file: Path, tmp_path: Path) -> None:
    other = make_nih(tmp_path / "other", images=1, val=1, size=SIZE)
    images = find_boxed([other, nih], read_boxes(box_file), (FLUID,), SIZE)
    assert len(images) == 20  # every second of 40 images has an effusion; the one of the last row is nowhere
    assert {image.name: image.val for image in images}["00000039_000.png"]
    assert not {image.name: image.val for image in images}["00000011_000.png"]
    assert all(list(image.boxes) == [FLUID] and image.pixels.shape == (SIZE, SIZE) for image in images)
    assert len(find_boxed([nih], read_boxes(box_file), (FLUID,), SIZE, limit=3)) == 3
    with pytest.raises(UsageError, match="None of the NIH folders"):
        find_boxed([nih], read_boxes(box_file), ("Mass",), SIZE)


def test_a_patient_of_a_train_list_is_no_val_patient(tmp_path: Path) -> None:
    folder = make_nih(tmp_path / "nih", images=1, val=3, size=SIZE)
    (folder / "train_list.txt").write_text("00000000_000.png\n00000002_007.png")
    boxes = {f"0000000{i}_000.png": {FLUID: ((0.0, 0.0, 1.0, 1.0),)} for i in range(4)}
    images = find_boxed([folder], boxes, (FLUID,), SIZE)
    assert [image.val for image in images] == [False, True, False, True]
