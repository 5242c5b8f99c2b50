from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_factory import make_dataset, phantom, save
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin
from PIL.PngImagePlugin import PngInfo
from pydicom import uid
from pydicom.dataset import Dataset

from cxreport.errors import NotAChestRadiographError
from cxreport.reading.study import ReadOptions, read_studies
from cxreport.types import Failure, Study

PIXELS = phantom()
EIGHT_BITS = phantom(white=255, dtype="uint8")
BLANK = np.full_like(PIXELS, 7)


def heat_map() -> NDArray[np.uint8]:
    """The picture with a red spot."""
    y, x = np.mgrid[-1 : 1 : EIGHT_BITS.shape[0] * 1j, -1 : 1 : EIGHT_BITS.shape[1] * 1j]
    weight = np.exp(-(x**2 + y**2) * 6)[..., None] * 0.7
    return (np.stack([EIGHT_BITS] * 3, -1) * (1 - weight) + np.array([255, 30, 0]) * weight).astype(np.uint8)


def instance(path: Path, pixels: NDArray[Any] = PIXELS, **attributes: Any) -> Path:
    return save(make_dataset(pixels, **{"StudyInstanceUID": "1.2.3", "ViewPosition": "PA", **attributes}), path)


def read(path: Path, **options: Any) -> Study:
    study = next(iter(read_studies([path], ReadOptions(**options))))
    assert isinstance(study, Study), study
    assert study.view is not None
    return study


def used(study: Study) -> tuple[str, int]:
    assert study.view is not None
    return Path(study.view.info.source).name, study.view.info.frame


def equipment(maker: str) -> Dataset:
    item = Dataset()
    item.Manufacturer = maker
    return item


SHUTTER = {"ShutterShape": "CIRCULAR", "CenterOfCircularShutter": [60, 50], "RadiusOfCircularShutter": 30}
CAPTURE = {"SOPClassUID": uid.SecondaryCaptureImageStorage, "Modality": "OT"}
BEHIND: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "raw by intent": ({"PresentationIntentType": "FOR PROCESSING"}, {}, "FOR PROCESSING"),
    "raw by class": ({"SOPClassUID": uid.DigitalXRayImageStorageForProcessing}, {}, "FOR PROCESSING"),
    "raw by type": ({"ImageType": ["ORIGINAL", "PRIMARY", "RAW"]}, {}, "FOR PROCESSING"),
    "raw PA, AP": ({"PresentationIntentType": "FOR PROCESSING"}, {"ViewPosition": "AP"}, "FOR PROCESSING"),
    "raw, derived": (
        {"PresentationIntentType": "FOR PROCESSING", "ImageType": ["ORIGINAL", "PRIMARY"]},
        {"PresentationIntentType": "FOR PRESENTATION", "ImageType": ["DERIVED", "PRIMARY"]},
        "FOR PROCESSING",
    ),
    "derived": ({"ImageType": ["DERIVED", "PRIMARY"]}, {"ImageType": ["ORIGINAL", "PRIMARY"]}, "derived"),
    "secondary": ({"ImageType": ["DERIVED", "SECONDARY"]}, {"ViewPosition": ""}, "secondary image"),
    "capture by class": ({"SOPClassUID": uid.SecondaryCaptureImageStorage}, {"ViewPosition": ""}, "secondary capture"),
    "capture, raw": (CAPTURE, {"PresentationIntentType": "FOR PROCESSING"}, "secondary capture"),
    "capture, digitised film": (CAPTURE, {**CAPTURE, "ConversionType": "DF"}, "secondary capture"),
    "capture by conversion": ({"ConversionType": "WSD"}, {"ViewPosition": "AP"}, "secondary capture"),
    "bones": ({"SeriesDescription": "Chest PA Bone"}, {}, "dual-energy"),
    "soft tissue": ({"ImageType": ["DERIVED", "PRIMARY", "", "SOFT_TISSUE"]}, {}, "dual-energy"),
    "bones, German": ({"SeriesDescription": "Thorax Knochenbild"}, {}, "dual-energy"),
    "soft tissue, German": ({"ProtocolName": "Thorax Weichteilbild"}, {}, "dual-energy"),
    "soft tissue, French": ({"SeriesDescription": "Thorax tissus mous"}, {}, "dual-energy"),
    "soft tissue, Spanish": ({"SeriesDescription": "Tórax partes blandas"}, {}, "dual-energy"),
    "soft tissue, Portuguese": ({"SeriesDescription": "Tórax partes moles"}, {}, "dual-energy"),
    "soft tissue, Italian": ({"SeriesDescription": "Torace tessuti molli"}, {}, "dual-energy"),
    "ribs suppressed": ({"SeriesDescription": "Chest rib suppressed"}, {}, "dual-energy"),
    "bones beside the standard image": (
        {"SeriesDescription": "Dual Energy Chest - Bone"},
        {"SeriesDescription": "Dual Energy Chest - Standard"},
        "part of a dual-energy",
    ),
    "soft tissue of a protocol": (
        {"ProtocolName": "Chest PA Dual Energy", "SeriesDescription": "Soft"},
        {"ProtocolName": "Chest PA Dual Energy", "SeriesDescription": ""},
        "part of a dual-energy",
    ),
    "dual energy by type": ({"ImageType": ["ORIGINAL", "PRIMARY", "", "DUAL_ENERGY"]}, {}, "part of a dual-energy"),
    "dual energy by name": ({"SeriesDescription": "Dual energy"}, {}, "of a dual-energy"),
    "subtracted": ({"DerivationDescription": "energy subtraction"}, {}, "dual-energy"),
    "decubitus": ({"ViewPosition": "LLD"}, {"ViewPosition": ""}, "decubitus"),
    "annotated": ({"BurnedInAnnotation": "YES"}, {"BurnedInAnnotation": "NO"}, "annotation"),
    "mirrored": ({"PatientOrientation": ["R", "F"]}, {"PatientOrientation": ["L", "F"]}, "upright"),
    "AP": ({"ViewPosition": "AP"}, {}, "AP"),
    "not stated": ({"ViewPosition": ""}, {"ViewPosition": "AP"}, "not stated"),
    "lateral": ({"ViewPosition": "LL"}, {"PresentationIntentType": "FOR PROCESSING"}, "lateral"),
}
"""Kind -> attributes of the first file, attributes of the second one, which is used, and what the record says."""


@pytest.mark.parametrize("kind", BEHIND)
def test_a_better_view_behind_another_one_is_used(tmp_path: Path, kind: str) -> None:
    first, second, reason = BEHIND[kind]
    instance(tmp_path / "1.dcm", **first)
    instance(tmp_path / "2.dcm", **second)
    study = read(tmp_path)
    assert used(study) == ("2.dcm", 0)
    assert study.view is not None
    assert study.view.info.reason == "number 1 of 2 in order of preference"
    (other,) = study.other_views
    assert reason in other.reason


def test_colour_stands_behind_grey(tmp_path: Path) -> None:
    instance(tmp_path / "1.dcm", heat_map())
    instance(tmp_path / "2.dcm", EIGHT_BITS, ViewPosition="AP")
    assert used(read(tmp_path)) == ("2.dcm", 0)
    Image.fromarray(heat_map()).save(tmp_path / "a.png")
    Image.fromarray(EIGHT_BITS).save(tmp_path / "b.png")
    pictures = [study for study in read_studies([tmp_path], ReadOptions(group_by="folder")) if len(study.sources) == 2]
    assert [used(study) for study in pictures if study.id == tmp_path.name] == [("b.png", 0)]


def test_a_thumbnail_stands_behind_what_it_shows(tmp_path: Path) -> None:
    instance(tmp_path / "1.dcm", phantom(20, 16))
    instance(tmp_path / "2.dcm", ViewPosition="AP")
    study = read(tmp_path)
    assert used(study) == ("2.dcm", 0)
    assert study.other_views[0].reason == "thumbnail"


def test_equal_views_keep_their_order(tmp_path: Path) -> None:
    for name in ("1.dcm", "2.dcm"):
        instance(tmp_path / name)
    study = read(tmp_path)
    assert used(study) == ("1.dcm", 0)
    assert "comes first" in study.other_views[0].reason


def test_the_only_view_says_so(tmp_path: Path) -> None:
    study = read(instance(tmp_path / "1.dcm"))
    assert study.view is not None
    assert (study.view.info.reason, study.next_view, study.warnings) == ("the only view", None, ())


# Views that cannot be used


@pytest.mark.parametrize(
    ("pixels", "attributes", "reason"),
    [
        (BLANK, {}, "blank"),
        (np.full_like(EIGHT_BITS, 90), SHUTTER, "blank"),
        (heat_map(), {"ImageType": ["ORIGINAL", "PRIMARY"]}, "in colour"),
        (PIXELS, {"Rows": 5000}, "truncated"),
        (PIXELS, {"BitsAllocated": 12}, "damaged"),
    ],
    ids=["blank", "blank in a shutter", "colour", "truncated", "undecodable"],
)
def test_the_next_view_steps_in(tmp_path: Path, pixels: NDArray[Any], attributes: dict[str, Any], reason: str) -> None:
    instance(tmp_path / "1.dcm", pixels, **attributes)
    instance(tmp_path / "2.dcm", ViewPosition="AP", ImageType=["DERIVED", "SECONDARY"])
    study = read(tmp_path)
    assert used(study) == ("2.dcm", 0)
    assert any("1.dcm" in warning and reason in warning for warning in study.warnings)


@pytest.mark.parametrize("first", [BLANK, np.zeros_like(PIXELS)], ids=["of one value", "black"])
def test_a_later_frame_steps_in(tmp_path: Path, first: NDArray[Any]) -> None:
    path = instance(tmp_path / "a.dcm", np.stack([first, PIXELS, PIXELS]))
    study = read(path)
    assert used(study) == ("a.dcm", 1)
    assert next((view.frame, view.reason) for view in study.other_views) == (0, "The pixels are blank")
    assert any("frame 0" in warning for warning in study.warnings)
    assert "could not be used" in study.view.info.reason


@pytest.mark.parametrize(
    "first",
    [np.zeros_like(EIGHT_BITS), np.full_like(EIGHT_BITS, 255), EIGHT_BITS[::8, ::8], EIGHT_BITS[::2, ::3]],
    ids=["black", "white", "thumbnail", "of another shape"],
)
def test_a_later_page_steps_in(tmp_path: Path, first: NDArray[Any]) -> None:
    pages = [Image.fromarray(page) for page in (first, EIGHT_BITS)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    study = read(tmp_path / "a.tif")
    assert used(study) == ("a.tif", 1)
    assert study.view is not None
    np.testing.assert_array_equal(study.view.pixels, EIGHT_BITS)


@pytest.mark.parametrize(("tag", "value"), [(254, 1), (255, 2)], ids=["NewSubfileType", "SubfileType"])
def test_a_page_that_calls_itself_smaller_stands_behind(tmp_path: Path, tag: int, value: int) -> None:
    pages = [Image.fromarray(page) for page in (EIGHT_BITS[: EIGHT_BITS.shape[0] * 3 // 4], EIGHT_BITS)]
    with TiffImagePlugin.AppendingTiffWriter(str(tmp_path / "a.tif")) as writer:
        for page, tags in zip(pages, ({tag: value}, {}), strict=True):
            page.encoderinfo = {}
            page.save(writer, "TIFF", tiffinfo=tags)
            writer.newFrame()
    study = read(tmp_path / "a.tif")
    assert used(study) == ("a.tif", 1)
    assert study.other_views[0].reason == "thumbnail"


def test_an_image_named_after_its_dual_energy_exposure_alone_is_no_part(tmp_path: Path) -> None:
    assert read(instance(tmp_path / "1.dcm", ProtocolName="Chest PA Dual Energy")).doubts == ()


def test_a_blank_image_alone_is_left_to_the_model(tmp_path: Path) -> None:
    study = read(instance(tmp_path / "1.dcm", BLANK))
    assert used(study) == ("1.dcm", 0)


def test_a_study_read_anew_without_what_the_model_refused(tmp_path: Path) -> None:
    for number, position in enumerate(("PA", "AP", "LL")):
        instance(tmp_path / f"{number}.dcm", ViewPosition=position)
    first = read(tmp_path)
    assert first.next_view is not None
    second = first.next_view("Not a radiograph.")
    assert isinstance(second, Study)
    assert used(second) == ("1.dcm", 0)
    assert second.next_view is None
    assert any("Not a radiograph. Passed over" in warning and "0.dcm" in warning for warning in second.warnings)
    assert [view.reason for view in second.other_views if view.source.endswith("0.dcm")] == ["Not a radiograph"]


def test_the_next_view_is_read_in_whatever_process_asks(tmp_path: Path) -> None:
    for number in range(2):
        instance(tmp_path / f"{number}.dcm")
    study = pickle.loads(pickle.dumps(read(tmp_path)))
    assert used(study.next_view("Refused.")) == ("1.dcm", 0)


def test_files_that_went_before_the_next_view_is_read_are_a_failure(tmp_path: Path) -> None:
    paths = [instance(tmp_path / f"{number}.dcm") for number in range(2)]
    first = read(tmp_path)
    for path in paths:
        path.unlink()
    assert isinstance(first.next_view("Refused."), Failure)


def test_a_copy_of_what_the_model_refused_is_not_tried(tmp_path: Path) -> None:
    for number in range(2):
        instance(tmp_path / f"{number}.dcm", SOPInstanceUID="1.2.9")
    assert read(tmp_path).next_view is None


# What is no radiograph


@pytest.mark.parametrize(
    "attributes",
    [
        {"Manufacturer": "cxreport"},
        {"SoftwareVersions": ["1.0", "CXREPORT 0.7"]},
        {"ManufacturerModelName": "cxreport"},
        {"DerivationDescription": "Heat map by cxreport"},
        {"ContributingEquipmentSequence": [equipment("cxreport")]},
    ],
    ids=lambda attributes: next(iter(attributes)),
)
def test_own_results_are_refused(tmp_path: Path, attributes: dict[str, Any]) -> None:
    (refused,) = read_studies([instance(tmp_path / "1.dcm", **attributes)])
    assert isinstance(refused, Failure)
    assert isinstance(refused.error, NotAChestRadiographError)
    assert "result of cxreport" in refused.error.message
    instance(tmp_path / "2.dcm")
    study = read(tmp_path)
    assert used(study) == ("2.dcm", 0)
    assert any("result of cxreport" in warning for warning in study.warnings)


def test_pictures_of_an_explanation_are_refused(tmp_path: Path) -> None:
    mark = PngInfo()
    mark.add_text("Software", "cxreport")
    Image.fromarray(EIGHT_BITS).save(tmp_path / "a.png", pnginfo=mark)
    (refused,) = read_studies([tmp_path])
    assert isinstance(refused, Failure)
    assert "result of cxreport" in refused.error.message


@pytest.mark.parametrize("kind", ["rgb", "palette"])
def test_pixels_in_colour_are_no_radiograph(tmp_path: Path, kind: str) -> None:
    path = instance(tmp_path / "1.dcm", heat_map()) if kind == "rgb" else _palette(tmp_path / "1.dcm", coloured=True)
    (refused,) = read_studies([path])
    assert isinstance(refused, Failure)
    assert "in colour" in refused.error.message
    forced = read(path, force=True)
    assert any("in colour" in warning for warning in forced.warnings)


def test_colour_in_another_compression_than_stated_is_colour(tmp_path: Path) -> None:
    dataset = make_dataset(heat_map(), encoding="jpeg2000-lossless")
    dataset.file_meta.TransferSyntaxUID = uid.RLELossless
    (refused,) = read_studies([save(dataset, tmp_path / "1.dcm")])
    assert isinstance(refused, Failure)
    assert "in colour" in refused.error.message


@pytest.mark.parametrize("kind", ["rgb", "palette"])
def test_grey_in_three_channels_is_one(tmp_path: Path, kind: str) -> None:
    grey = np.stack([EIGHT_BITS] * 3, -1)
    path = instance(tmp_path / "1.dcm", grey) if kind == "rgb" else _palette(tmp_path / "1.dcm", coloured=False)
    assert read(path).warnings == ()


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"Modality": "CT"}, "Modality is CT"),
        ({"BodyPartExamined": "HAND"}, "HAND"),
        ({"Manufacturer": "cxreport"}, "result"),
    ],
    ids=["modality", "body part", "own result"],
)
def test_force_warns_of_what_it_lifts(tmp_path: Path, attributes: dict[str, Any], reason: str) -> None:
    study = read(instance(tmp_path / "1.dcm", **attributes), force=True)
    assert any(reason in warning for warning in study.warnings)
    instance(tmp_path / "2.dcm", ViewPosition="LL")
    assert used(read(tmp_path, force=True)) == ("2.dcm", 0)  # even a lateral radiograph goes first


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"PresentationIntentType": "FOR PROCESSING"}, "FOR PROCESSING"),
        ({"ImageType": ["DERIVED", "PRIMARY", "BONE"]}, "dual-energy"),
        ({"PresentationLUTShape": "INVERSE"}, "Presentation LUT Shape"),
    ],
    ids=["raw", "bones", "polarity"],
)
def test_a_doubtful_image_alone_is_read_with_a_warning(tmp_path: Path, attributes: dict[str, Any], words: str) -> None:
    study = read(instance(tmp_path / "1.dcm", **attributes))
    assert any(words in warning for warning in study.warnings)
    assert study.doubts == study.warnings


def test_what_is_doubtful_in_pixels_that_are_not_used_is_no_warning(tmp_path: Path) -> None:
    instance(tmp_path / "1.dcm", BLANK, PresentationLUTShape="INVERSE")
    instance(tmp_path / "2.dcm")
    study = read(tmp_path)
    assert used(study) == ("2.dcm", 0)
    assert not any("Presentation LUT Shape" in warning for warning in study.warnings)


def test_a_secondary_capture_alone_is_read(tmp_path: Path) -> None:
    assert read(instance(tmp_path / "1.dcm", **CAPTURE)).warnings == ()


def test_exif_turns_are_in_the_changes(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(EIGHT_BITS).save(tmp_path / "a.jpg", exif=exif)
    study = read(tmp_path / "a.jpg")
    assert study.view is not None
    assert "EXIF" in study.view.info.changes[0]
    assert study.view.pixels.shape == EIGHT_BITS.T.shape


def _palette(path: Path, *, coloured: bool) -> Path:
    dataset = make_dataset(EIGHT_BITS, photometric="PALETTE COLOR", StudyInstanceUID="1.2.3", ViewPosition="PA")
    ramp = np.arange(256) * 257
    for name, table in (("Red", ramp), ("Green", ramp // (3 if coloured else 1)), ("Blue", ramp)):
        setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(dataset, f"{name}PaletteColorLookupTableData", table.astype("<u2").tobytes())
    return save(dataset, path)
