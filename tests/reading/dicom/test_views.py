from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_factory import (
    ENCODINGS,
    HTJ2K,
    HTJ2K_PIXELS,
    LOSSLESS,
    encapsulated,
    make_dataset,
    phantom,
    real,
    sample,
    save,
)
from images import inspect, read
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset

from cxreport.errors import MissingCodecError, StudyError, TooLargeError, UnreadableFileError
from cxreport.types import Position

TWELVE_BITS = phantom()


@pytest.mark.parametrize("encoding", LOSSLESS)
@pytest.mark.parametrize(
    ("pixels", "stored"),
    [
        (TWELVE_BITS, 12),
        ((TWELVE_BITS.astype("int32") - 2048).astype("int16"), 12),
        ((TWELVE_BITS // 16).astype("uint8"), 8),
        ((TWELVE_BITS * 16), 16),
        (np.stack([TWELVE_BITS, TWELVE_BITS[::-1]]), 12),
        (np.stack([TWELVE_BITS // 16] * 3, axis=-1).astype("uint8"), 8),
        (np.stack([np.stack([TWELVE_BITS // 16] * 3, axis=-1)] * 2).astype("uint8"), 8),
        ((TWELVE_BITS[:95, :79] // 16).astype("uint8"), 8),  # odd number of bytes
    ],
    ids=["u12", "s12", "u8", "u16", "frames", "rgb", "rgb-frames", "odd"],
)
def test_lossless_encodings_agree(tmp_path: Path, encoding: str, pixels: NDArray[Any], stored: int) -> None:
    if encoding == "big-endian" and pixels.dtype == np.uint8:
        pytest.skip("8-bit big endian is tested on real files, with OW and OB")
    expected = read(save(make_dataset(pixels, bits_stored=stored), tmp_path / "explicit.dcm"))
    path = save(make_dataset(pixels, bits_stored=stored, encoding=encoding), tmp_path / "other.dcm")
    np.testing.assert_array_equal(read(path), expected)
    assert expected.shape == pixels.shape[-2 - (pixels.shape[-1] == 3) :][:2]
    assert expected.dtype == np.uint8
    assert np.ptp(expected) > 200


@pytest.mark.parametrize("encoding", ["implicit", "explicit", "big-endian"])
def test_without_preamble_and_meta_information(tmp_path: Path, encoding: str) -> None:
    expected = read(save(make_dataset(TWELVE_BITS), tmp_path / "a"))
    path = save(make_dataset(TWELVE_BITS, encoding=encoding), tmp_path / "b", preamble=False)
    np.testing.assert_array_equal(read(path), expected)


def test_32_bits_allocated(tmp_path: Path) -> None:
    expected = read(save(make_dataset(TWELVE_BITS, bits_stored=12), tmp_path / "a"))
    path = save(make_dataset(TWELVE_BITS.astype("uint32"), bits_stored=12), tmp_path / "b")
    np.testing.assert_array_equal(read(path), expected)


@pytest.mark.parametrize("color", [False, True])
def test_jpeg_baseline(tmp_path: Path, color: bool) -> None:
    pixels = (TWELVE_BITS // 16).astype("uint8")
    pixels = np.stack([pixels] * 3, axis=-1) if color else pixels
    expected = read(save(make_dataset(pixels), tmp_path / "a")).astype(int)
    grey = read(save(make_dataset(pixels, encoding="jpeg-baseline"), tmp_path / "b"))
    assert np.abs(grey - expected).mean() < 3


@pytest.mark.parametrize("syntax", [uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K])
def test_htj2k(tmp_path: Path, syntax: uid.UID) -> None:
    expected = read(save(make_dataset(HTJ2K_PIXELS), tmp_path / "a"))
    np.testing.assert_array_equal(read(sample(syntax, tmp_path / "b")), expected)


@pytest.mark.parametrize(
    ("compressed", "plain", "tolerance"),
    [
        ("RG1_J2KR.dcm", "RG1_UNCR.dcm", 0),
        ("RG1_J2KI.dcm", "RG1_UNCI.dcm", 0),
        ("MR_small_RLE.dcm", "MR_small.dcm", 0),
        ("MR_small_jp2klossless.dcm", "MR_small.dcm", 0),
        ("MR_small_jpeg_ls_lossless.dcm", "MR_small.dcm", 0),
        ("MR_small_implicit.dcm", "MR_small.dcm", 0),
        ("MR_small_expb.dcm", "MR_small.dcm", 0),
        ("emri_small_RLE.dcm", "emri_small.dcm", 0),
        ("emri_small_jpeg_ls_lossless.dcm", "emri_small.dcm", 0),
        ("SC_rgb_rle_16bit.dcm", "SC_rgb_16bit.dcm", 0),
        ("SC_rgb_expb.dcm", "SC_rgb.dcm", 0),
        ("SC_rgb_expb_16bit.dcm", "SC_rgb_16bit.dcm", 0),
        ("SC_rgb_32bit.dcm", "SC_rgb.dcm", 1),
        ("SC_ybr_full_uncompressed.dcm", "SC_rgb.dcm", 2),
        ("SC_ybr_full_422_uncompressed.dcm", "SC_rgb.dcm", 2),
        ("SC_rgb_dcmtk_+eb+cy+n1.dcm", "SC_rgb.dcm", 8),
        ("SC_rgb_jpeg_gdcm.dcm", "SC_rgb.dcm", 0),
        ("SC_rgb_jls_lossy_line.dcm", "SC_rgb.dcm", 5),
        ("color-pl.dcm", "color-px.dcm", 0),
        ("OBXXXX1A_expb.dcm", "OBXXXX1A.dcm", 0),
        ("OBXXXX1A_rle.dcm", "OBXXXX1A.dcm", 0),
        ("gdcm-US-ALOKA-16_big.dcm", "gdcm-US-ALOKA-16.dcm", 0),
        ("US1_J2KR.dcm", "US1_UNCR.dcm", 0),
    ],
)
def test_real_twins_agree(compressed: str, plain: str, tolerance: int) -> None:
    difference = np.abs(read(real(compressed)).astype(int) - read(real(plain)))
    assert difference.max() <= tolerance


def test_signed_jpeg2000_that_says_unsigned() -> None:
    assert read(real("J2K_pixelrep_mismatch.dcm"))[0, 0] == 0  # air at the rim of the field of view


def test_jpeg_lossless_of_any_predictor(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read(sample(uid.JPEGLossless, tmp_path / "a")), read(real("JPEG-LL.dcm")))


@pytest.mark.parametrize("name", ["JPGExtended.dcm", "image_dfl.dcm", "JPEGLSNearLossless_16.dcm", "SC_rgb_jpeg.dcm"])
def test_more_real_encodings_are_read(name: str) -> None:
    assert np.ptp(read(real(name))) > 100


@pytest.mark.parametrize("name", ["mlut_18.dcm", "vlut_04.dcm"])
def test_real_lookup_tables(name: str) -> None:
    dataset = pydicom.dcmread(real(name))
    reference = pydicom.pixels.apply_voi_lut(
        pydicom.pixels.apply_modality_lut(dataset.pixel_array, dataset), dataset
    ).astype(float)
    grey = read(real(name)).astype(float)
    assert np.corrcoef(reference.ravel(), grey.ravel())[0, 1] > 0.999


def test_real_radiograph_is_bright_where_it_absorbs() -> None:
    """RG1 is MONOCHROME1: its stored values are high in the lungs."""
    grey = read(real("RG1_UNCR.dcm"))
    stored = pydicom.dcmread(real("RG1_UNCR.dcm")).pixel_array
    assert np.corrcoef(grey.ravel(), stored.ravel())[0, 1] < -0.99
    assert grey[900, 920] > grey[500, 560] + 30  # spine and lung


@pytest.mark.parametrize(
    ("changes", "depth"),
    [
        ({"PhotometricInterpretation": None}, 12),
        ({"SamplesPerPixel": None}, 12),
        ({"PixelRepresentation": None}, 12),
        ({"BitsStored": None, "HighBit": None}, 16),
        ({"HighBit": 15}, 12),
        ({"WindowCenter": "", "WindowWidth": ""}, 12),
    ],
)
def test_careless_headers(tmp_path: Path, changes: dict[str, Any], depth: int) -> None:
    grey = read(save(make_dataset(TWELVE_BITS, bits_stored=12, **changes), tmp_path / "a"))
    assert grey.shape == (96, 80)
    np.testing.assert_array_equal(grey, read(save(make_dataset(TWELVE_BITS, bits_stored=depth), tmp_path / "b")))


def test_overlay_bits_above_the_stored_ones(tmp_path: Path) -> None:
    overlay = TWELVE_BITS | (np.indices(TWELVE_BITS.shape).sum(0) % 2 * 0x8000).astype("uint16")
    grey = read(save(make_dataset(overlay, bits_stored=12), tmp_path / "a"))
    np.testing.assert_array_equal(grey, read(save(make_dataset(TWELVE_BITS, bits_stored=12), tmp_path / "b")))


@pytest.mark.parametrize("encoding", ["explicit", "encapsulated", "rle", "jpeg2000-lossless", "deflated"])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_truncated_files_are_unreadable(tmp_path: Path, encoding: str, share: float) -> None:
    path = save(make_dataset(TWELVE_BITS, encoding=encoding), tmp_path / "a")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(UnreadableFileError):
        read(path)


def test_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(make_dataset(TWELVE_BITS), tmp_path / "a")
    with pytest.raises(TooLargeError):
        read(path, max_megapixels=0.001)
    announced = make_dataset(np.zeros((2, 2), "uint8"))
    announced.Rows = announced.Columns = 60000
    with pytest.raises(TooLargeError):
        read(save(announced, tmp_path / "b"))
    hidden = bytearray(HTJ2K)
    hidden[8:16] = b"\x00\x01\x00\x00" * 2  # a codestream of 65536 x 65536 under a header of 24 x 16
    with pytest.raises(TooLargeError):
        read(save(encapsulated(bytes(hidden), uid.HTJ2KLossless, HTJ2K_PIXELS), tmp_path / "c"))
    monkeypatch.setattr("cxreport.reading.dicom.file._HEADER_BYTES", 0)
    zeros = save(make_dataset(np.zeros((500, 500), "uint16"), encoding="deflated"), tmp_path / "d")
    with pytest.raises(TooLargeError):
        inspect(zeros, max_megapixels=0.01)


def test_missing_codec_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(make_dataset(TWELVE_BITS, encoding="jpeg2000-lossless"), tmp_path / "a")
    monkeypatch.setattr(pydicom.pixels.decoders.base.Decoder, "is_available", False)
    with pytest.raises(MissingCodecError, match="pylibjpeg-openjpeg") as raised:
        read(path)
    assert "pip install" in raised.value.hint


def test_video_is_not_supported(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="not supported: MPEG2"):
        read(save(encapsulated(bytes(8), uid.MPEG2MPML, HTJ2K_PIXELS), tmp_path / "a"))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_nothing_is_printed_or_logged(
    tmp_path: Path, encoding: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    dataset = make_dataset((TWELVE_BITS // 16).astype("uint8"), encoding=encoding)
    path = save(dataset, tmp_path / "a")
    read(path)
    data = bytearray(path.read_bytes())
    data[-3000:-1000:7] = bytes(len(data[-3000:-1000:7]))
    (tmp_path / "b").write_bytes(data)
    with contextlib.suppress(UnreadableFileError):
        read(tmp_path / "b")
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def coded(meaning: str) -> Dataset:
    item = Dataset()
    item.CodeMeaning = meaning
    return item


@pytest.mark.parametrize(
    ("attributes", "position"),
    [
        ({"ViewPosition": "PA"}, "PA"),
        ({"ViewPosition": "AP"}, "AP"),
        ({"ViewPosition": "ap "}, "AP"),
        ({"ViewPosition": "ANTERO-POSTERIOR"}, "AP"),
        ({"ViewPosition": "LL"}, "LATERAL"),
        ({"ViewPosition": "RL"}, "LATERAL"),
        ({"ViewPosition": "LATERAL"}, "LATERAL"),
        ({"ViewPosition": "LLD", "SeriesDescription": "LATERAL"}, "UNKNOWN"),
        ({"ViewPosition": "PA", "PatientOrientation": ["P", "F"]}, "PA"),
        ({"PatientOrientation": ["P", "F"]}, "LATERAL"),
        ({"PatientOrientation": ["A", "F"], "SeriesDescription": "Chest PA"}, "LATERAL"),
        ({"PatientOrientation": ["L", "F"]}, "UNKNOWN"),
        ({"PatientOrientation": ["L", "F"], "SeriesDescription": "Chest AP"}, "AP"),
        ({"PatientOrientation": ["L", "F"], "SeriesDescription": "Lateral"}, "UNKNOWN"),
        ({"ViewPosition": "", "SeriesDescription": "W034 CHEST LAT"}, "LATERAL"),
        ({"SeriesDescription": "Thorax p.a."}, "PA"),
        ({"SeriesDescription": "chest_pa"}, "PA"),
        ({"SeriesDescription": "CHEST PA AND LATERAL"}, "UNKNOWN"),
        ({"SeriesDescription": "Left lateral decubitus"}, "UNKNOWN"),
        ({"SeriesDescription": "LATE PAPER"}, "UNKNOWN"),
        ({"ProtocolName": "CHEST,AP"}, "AP"),
        ({"ViewCodeSequence": [coded("postero-anterior")]}, "PA"),
        ({"ViewCodeSequence": [coded("left lateral")]}, "LATERAL"),
        ({}, "UNKNOWN"),
    ],
)
def test_view_position(tmp_path: Path, attributes: dict[str, Any], position: str) -> None:
    path = save(make_dataset(TWELVE_BITS, **attributes), tmp_path / "a")
    assert inspect(path).position is Position(position)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({}, None),
        ({"Modality": "DX"}, None),
        ({"Modality": "RG"}, None),
        ({"Modality": "CT"}, "Modality is CT"),
        ({"Modality": "RF"}, "Modality is RF"),
        ({"Modality": "MG"}, "Modality is MG"),
        ({"Modality": "Miller^Jane"}, "Modality is not one of"),
        ({"Modality": "OT", "SOPClassUID": uid.SecondaryCaptureImageStorage}, None),
        ({"Modality": "CT", "SOPClassUID": uid.SecondaryCaptureImageStorage}, "Modality is CT"),
        ({"Modality": "OT", "SOPClassUID": uid.UltrasoundImageStorage}, "Modality is"),
        ({"Modality": ""}, None),
        ({"Modality": "", "SOPClassUID": uid.CTImageStorage}, "Modality is"),
        ({"BodyPartExamined": ""}, None),
        ({"BodyPartExamined": "THORAX"}, None),
        ({"BodyPartExamined": "RIBS"}, None),
        ({"BodyPartExamined": "CHESTABDOMEN"}, None),
        ({"BodyPartExamined": "WHOLEBODY"}, None),
        ({"BodyPartExamined": "VARIOUS"}, None),
        ({"BodyPartExamined": "HAND"}, "HAND"),
        ({"BodyPartExamined": "Left Knee"}, "KNEE"),
        ({"BodyPartExamined": "ABDOMEN"}, "ABDOMEN"),
        ({"BodyPartExamined": None, "AnatomicRegionSequence": [coded("Skull")]}, "SKULL"),
        ({"BodyPartExamined": None, "AnatomicRegionSequence": [coded("Chest")]}, None),
    ],
)
def test_refusals(tmp_path: Path, attributes: dict[str, Any], reason: str | None) -> None:
    refusal = inspect(save(make_dataset(TWELVE_BITS, **attributes), tmp_path / "a")).refusal
    if reason is None:
        assert refusal is None
    else:
        assert refusal is not None
        assert reason in refusal.message
        assert "Miller" not in refusal.message
        assert "--force" in refusal.hint


@pytest.mark.parametrize("name", ["RG3_UNCR.dcm", "CT_small.dcm", "MR_small.dcm", "US1_UNCR.dcm"])
def test_real_refusals(name: str) -> None:
    assert inspect(real(name)).refusal is not None


@pytest.mark.parametrize("name", ["test-SR.dcm", "DICOMDIR", "rtplan.dcm", "waveform_ecg.dcm"])
def test_objects_without_an_image(name: str) -> None:
    assert inspect(real(name)).frames == 0


@pytest.mark.parametrize("encoding", ["encapsulated", "rle", "jpeg2000-lossless", "jpeg-baseline", "deflated"])
def test_damage_is_a_failure_or_a_picture_but_never_a_crash(
    tmp_path: Path, encoding: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """pylibjpeg-rle panics here, past `except Exception`."""
    content = save(make_dataset((TWELVE_BITS // 16).astype("uint8"), encoding=encoding), tmp_path / "a").read_bytes()
    random = np.random.default_rng(5)
    for _ in range(30):
        damaged = bytearray(content)
        for place in random.integers(300, len(content), 5):
            damaged[place] = random.integers(256)
        (tmp_path / "b").write_bytes(damaged)
        with contextlib.suppress(StudyError):
            read(tmp_path / "b")
    assert capfd.readouterr() == ("", "")
