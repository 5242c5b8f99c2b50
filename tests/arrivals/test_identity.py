from __future__ import annotations

from pathlib import Path

import pytest
from dicom_factory import make_dataset, phantom, save
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset

from cxreport.arrivals.identity import FileKind, identify
from cxreport.reading.dicom.attributes import digest


def made(tmp_path: Path, **attributes: object) -> tuple[Dataset, str]:
    data_set = make_dataset(phantom(16, 16), **attributes)
    return data_set, str(save(data_set, tmp_path / "a.dcm"))


def test_an_image_by_digests_of_its_study_and_instance(tmp_path: Path) -> None:
    data_set, path = made(tmp_path)
    (found,) = identify([path])
    assert found.kind is FileKind.IMAGE
    assert (found.study, found.instance) == (digest(data_set.StudyInstanceUID), digest(data_set.SOPInstanceUID))


def equipment() -> list[Dataset]:
    item = Dataset()
    item.Manufacturer = "cxreport"
    return [item]


@pytest.mark.parametrize(
    "attributes",
    [
        {"Manufacturer": "cxreport"},
        {"ContributingEquipmentSequence": equipment()},
        {"Modality": "SR", "SOPClassUID": uid.ComprehensiveSRStorage, "Manufacturer": "cxreport"},
        {"Modality": "OT", "SOPClassUID": uid.SecondaryCaptureImageStorage, "SoftwareVersions": "cxreport 0.6"},
        {"Modality": "DOC", "SOPClassUID": uid.EncapsulatedPDFStorage, "ContributingEquipmentSequence": equipment()},
    ],
)
def test_own_results_are_recognised_whatever_their_kind(tmp_path: Path, attributes: dict) -> None:
    _, path = made(tmp_path, **attributes)
    assert identify([path])[0].kind is FileKind.OWN_RESULT


def test_objects_without_an_image_start_nothing(tmp_path: Path) -> None:
    attributes = ("PixelData", "Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit")
    others = ("PhotometricInterpretation", "PixelRepresentation")
    data_set, _ = made(tmp_path, Modality="SR", SOPClassUID=uid.BasicTextSRStorage)
    for keyword in (*attributes, *others):
        delattr(data_set, keyword)
    assert identify([str(save(data_set, tmp_path / "sr.dcm"))])[0].kind is FileKind.OTHER


def test_pictures_and_damaged_files_are_studies_of_their_own(tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "text.txt").write_text("text")
    (tmp_path / "empty.dcm").write_bytes(b"")
    kinds = [found.kind for found in identify([str(tmp_path / name) for name in ("a.png", "text.txt", "empty.dcm")])]
    assert kinds == [FileKind.IMAGE, FileKind.OTHER, FileKind.IMAGE]
