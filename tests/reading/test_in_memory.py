"""Pictures in memory become the studies that files of them become, and the errors of Python callers are clear."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import cxreport
from cxreport.errors import NothingReadableError, UsageError

SIDE = 96
GREY = (np.add.outer(np.arange(SIDE), np.arange(SIDE)) * 1.2).astype(np.uint8)


def images() -> dict[str, Image.Image]:
    grey = Image.fromarray(GREY)
    turned = Image.open(io.BytesIO(jpeg(grey)))
    return {
        "grey": grey,
        "bilevel": grey.convert("1"),
        "palette": grey.convert("P"),
        "colour": Image.merge("RGB", (grey, grey.rotate(90), grey)),
        "transparent": Image.merge("RGBA", (grey, grey, grey, grey.rotate(180))),
        "deep": Image.fromarray(GREY.astype(np.uint16) * 200),
        "cmyk": grey.convert("RGB").convert("CMYK"),
        "turned": turned,
    }


def jpeg(image: Image.Image) -> bytes:
    """A JPEG that is to be turned."""
    exif, content = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    image.save(content, format="JPEG", exif=exif)
    return content.getvalue()


@pytest.mark.parametrize("kind", images())
@pytest.mark.parametrize("colour", [False, True])
def test_a_picture_of_pillow_is_read_like_its_file(tmp_path: Path, kind: str, colour: bool) -> None:
    image, path = images()[kind], tmp_path / "x.png"
    if kind == "turned":
        path = tmp_path / "x.jpg"
        path.write_bytes(jpeg(images()["grey"]))
    else:
        (image.convert("RGB") if kind == "cmyk" else image).save(path)
    options = cxreport.ReadOptions(colour=colour)
    read, of_file = cxreport.read_image(image, options=options), cxreport.read_study(path, options)
    assert read.view is not None
    assert of_file.view is not None
    np.testing.assert_array_equal(read.view.pixels, of_file.view.pixels)
    assert (read.id, read.sources) == ("image", ("image",))


@pytest.mark.parametrize(
    "pixels",
    [
        GREY,
        GREY[:, ::-1],
        np.asfortranarray(GREY),
        GREY.astype(np.uint16) * 200,
        (GREY.astype(np.uint16) * 200).astype(">u2"),
        np.dstack([GREY] * 3),
        np.dstack([GREY] * 4),
    ],
    ids=["grey", "view", "fortran", "deep", "big-endian", "rgb", "rgba"],
)
def test_an_array_is_read_like_the_picture_of_it(pixels: Any) -> None:
    native = np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder("=")))
    study, pillow = cxreport.read_image(pixels, "a"), cxreport.read_image(Image.fromarray(native), "a")
    assert study.view is not None
    assert pillow.view is not None
    np.testing.assert_array_equal(study.view.pixels, pillow.view.pixels)
    assert study.id == "a"


@pytest.mark.parametrize(
    "pixels",
    [
        GREY.astype(float) / 255,
        GREY.astype(int),
        GREY > 9,
        GREY[None],
        GREY[0],
        np.zeros((0, 4), np.uint8),
        np.dstack([GREY] * 2),
        np.dstack([GREY.astype(np.uint16)] * 3),
        "x.png",
        None,
        [[1, 2], [3, 4]],
    ],
    ids=str,
)
def test_what_is_no_image_is_refused_with_what_would_be_one(pixels: Any) -> None:
    with pytest.raises(UsageError, match="is no image") as error:
        cxreport.read_image(pixels)
    assert "uint16" in error.value.hint


def test_an_image_that_cannot_be_used_is_an_error() -> None:
    with pytest.raises(NothingReadableError, match="lateral"):
        cxreport.read_image(GREY, "chest lateral")
    assert cxreport.read_image(GREY, "chest lateral", cxreport.ReadOptions(force=True)).warnings
    with pytest.raises(NothingReadableError, match="megapixel"):
        cxreport.read_image(GREY, options=cxreport.ReadOptions(max_megapixels=0.001))


def test_images_in_memory_are_drafted(tiny_bundle: Path) -> None:
    model = cxreport.load_model(str(tiny_bundle))
    options = cxreport.GenerateOptions(force=True)
    reports = list(cxreport.generate(model, [cxreport.read_image(GREY, "a"), cxreport.read_image(GREY, "b")], options))
    assert all(isinstance(report, cxreport.Report) for report in reports)
    assert [report.study.id for report in reports if isinstance(report, cxreport.Report)] == ["a", "b"]


def test_paths_are_texts_or_paths(phantoms: Path) -> None:
    path = phantoms / "normal-8bit.png"
    for given in (path, str(path), [path], [str(path)], iter([str(path)])):
        (study,) = cxreport.read_studies(given)
        assert isinstance(study, cxreport.Study)
        assert study.sources == (str(path),)
    assert cxreport.read_study(str(path)).sources == (str(path),)


@pytest.mark.parametrize(
    "options",
    [{"beam": 0}, {"batch_size": 0}, {"neighbours": 0}, {"threshold": 1.5}, {"threshold": float("nan")}],
    ids=str,
)
def test_options_of_drafting_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        cxreport.GenerateOptions(**options)


@pytest.mark.parametrize("options", [{"group_by": "patient"}, {"max_megapixels": 0}, {"max_frames": 0}], ids=str)
def test_options_of_reading_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        cxreport.ReadOptions(**options)


@pytest.mark.parametrize(
    "studies", ["x.png", ["x.png"], [GREY], [Path("x.png")]], ids=["text", "texts", "array", "path"]
)
def test_what_is_no_study_is_refused(tiny_bundle: Path, studies: Any) -> None:
    model = cxreport.load_model(tiny_bundle)
    with pytest.raises(UsageError) as error:
        list(cxreport.generate(model, studies))
    assert "read_image" in error.value.hint


def test_one_study_is_no_list(tiny_bundle: Path) -> None:
    with pytest.raises(UsageError, match="A Study is no list of studies"):
        list(cxreport.generate(cxreport.load_model(tiny_bundle), cxreport.read_image(GREY)))
