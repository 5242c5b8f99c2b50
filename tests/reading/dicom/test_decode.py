"""The pixel pipeline against pydicom's reference functions, on random headers."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.tag import Tag

from cxreport.reading.dicom.display import displayed, modality_values, voi_brightness
from cxreport.reading.dicom.stored_bits import stored_bits
from cxreport.reading.grey import percentile_window, through_table
from cxreport.types import Grey

settings.register_profile("busy machine", deadline=None, max_examples=60)
settings.load_profile("busy machine")
FUNCTIONS = ["LINEAR", "LINEAR_EXACT", "SIGMOID"]


def header(bits: int = 12, signed: bool = False, **attributes: Any) -> Dataset:
    dataset = Dataset()
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsStored = bits
    dataset.PixelRepresentation = int(signed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
    dataset.set_original_encoding(False, True, "iso8859")
    return dataset


def display_grey(stored: NDArray[Any], head: Dataset) -> Grey:
    """Grey of stored values by a header alone."""
    return displayed(stored, head, bits=head.BitsStored).grey


def lut_item(first: int, bits: int, entries: list[int], *, as_words: bool) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [len(entries) % 65536, first, bits]
    item.add_new("LUTData", "OW" if as_words else "US", np.array(entries, "<u2").tobytes() if as_words else entries)
    item.set_original_encoding(False, True, "iso8859")
    return item


@st.composite
def stored_values(draw: st.DrawFn) -> tuple[int, bool, NDArray[Any]]:
    bits = draw(st.integers(8, 16))
    signed = draw(st.booleans())
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    values = draw(st.lists(st.integers(low, high), min_size=1, max_size=40))
    return bits, signed, np.array(values, "int16" if signed else "uint16")


@given(stored_values(), st.floats(-8, 8).filter(lambda slope: abs(slope) > 1e-3), st.floats(-4096, 4096))
def test_rescale_agrees_with_pydicom(stored: Any, slope: float, intercept: float) -> None:
    bits, signed, values = stored
    head = header(bits, signed, RescaleSlope=f"{slope:.5f}", RescaleIntercept=f"{intercept:.3f}")
    np.testing.assert_allclose(modality_values(values, head), apply_modality_lut(values, head), rtol=1e-12, atol=1e-9)


@given(
    stored_values(),
    st.integers(1, 3000),
    st.integers(-6000, 6000),
    st.integers(2, 9000),
    st.sampled_from(FUNCTIONS),
)
def test_window_agrees_with_pydicom(stored: Any, slope: int, center: int, width: int, function: str) -> None:
    bits, signed, values = stored
    head = header(
        bits,
        signed,
        RescaleSlope=str(slope / 1000),
        RescaleIntercept="-100",
        WindowCenter=str(center),
        WindowWidth=str(width),
        VOILUTFunction=function,
    )
    modality = modality_values(values, head)
    reference = apply_voi_lut(modality, head)
    ends = np.array([-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] if signed else [0, 2**bits - 1])
    low, high = apply_modality_lut(ends, head)
    (brightness, _), *_ = voi_brightness(modality, head)
    np.testing.assert_allclose(brightness, (reference - low) / (high - low), atol=1e-9)


@given(
    st.lists(st.integers(0, 4095), min_size=2, max_size=300),
    st.integers(0, 500),
    st.integers(10, 16),
    st.booleans(),
    stored_values(),
)
def test_lookup_tables_agree_with_pydicom(
    entries: list[int], first: int, bits: int, as_words: bool, stored: Any
) -> None:
    values = np.abs(stored[2].astype(np.int32))
    entries = [min(entry, 2**bits - 1) for entry in entries]
    voi = header(16, VOILUTSequence=[lut_item(first, bits, entries, as_words=as_words)])
    reference = apply_voi_lut(values.astype("uint16"), voi)
    ((brightness, _),) = voi_brightness(values.astype(np.float64), voi)
    white = reference.max() / brightness.max() if brightness.max() else 1
    np.testing.assert_allclose(brightness * white, reference, atol=1e-6)

    modality = header(16, ModalityLUTSequence=[lut_item(first, 16, entries, as_words=as_words)])
    np.testing.assert_array_equal(modality_values(values, modality), apply_modality_lut(values, modality))


def test_table_of_8_bit_entries_longer_than_256() -> None:
    """pydicom wraps the index here."""
    ramp = [entry // 16 for entry in range(4096)]
    item = Dataset()
    item.LUTDescriptor = [4096, 0, 8]
    item.add_new("LUTData", "OW", bytes(ramp))
    ((brightness, _),) = voi_brightness(np.array([0.0, 2048, 4095, 9999]), header(VOILUTSequence=[item]))
    np.testing.assert_allclose(brightness, [0, 128 / 255, 1, 1])


def test_table_whose_declared_depth_is_wrong_uses_its_own_range() -> None:
    head = header(VOILUTSequence=[lut_item(0, 16, [0, 4095], as_words=False)])
    ((brightness, _),) = voi_brightness(np.array([0.0, 1]), head)
    np.testing.assert_allclose(brightness, [0, 1])


@given(stored_values())
def test_inverted_exactly_once(stored: Any) -> None:
    bits, signed, values = stored
    image = values[np.newaxis]
    window = {"WindowCenter": "100", "WindowWidth": "300"}
    plain = display_grey(image, header(bits, signed, **window))
    for photometric, shape in [("MONOCHROME1", "INVERSE"), ("MONOCHROME1", None), ("MONOCHROME2", "INVERSE")]:
        extra = {"PresentationLUTShape": shape} if shape else {}
        inverted = display_grey(image, header(bits, signed, **window, PhotometricInterpretation=photometric, **extra))
        # halves round up on both sides of the inversion
        assert np.abs(255 - plain.astype(int) - inverted).max() <= 1


@given(stored_values(), st.sampled_from(["MONOCHROME1", "MONOCHROME2"]))
def test_padding_is_black_and_does_not_move_the_window(stored: Any, photometric: str) -> None:
    bits, signed, values = stored
    low = -(2 ** (bits - 1)) if signed else 0
    inner = np.clip(values, low + 10, None)
    head = header(bits, signed, PhotometricInterpretation=photometric)
    padded = header(bits, signed, PhotometricInterpretation=photometric)
    padded.add_new("PixelPaddingValue", "SS" if signed else "US", low)
    padded.add_new("PixelPaddingRangeLimit", "SS" if signed else "US", low + 5)
    expected = display_grey(inner[np.newaxis], head)
    border = np.full((1, 3), [low, low + 3, low + 5], values.dtype)
    grey = display_grey(np.concatenate([inner[np.newaxis], border], axis=1), padded)
    np.testing.assert_array_equal(grey[:, : len(values)], expected)
    assert not grey[:, len(values) :].any()


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"WindowCenter": "1000", "WindowWidth": "0"},
        {"WindowCenter": "1000", "WindowWidth": "0.5"},
        {"WindowCenter": "1000", "WindowWidth": "-50"},
        {"WindowCenter": "", "WindowWidth": ""},
        {"WindowCenter": ["", ""], "WindowWidth": ["", ""]},
        {"WindowCenter": "1000"},
        {"WindowCenter": "1e9", "WindowWidth": "10"},
        {"RescaleSlope": "0", "RescaleIntercept": "5"},
        {"RescaleSlope": ""},
        {"RescaleIntercept": "7"},
        {"VOILUTFunction": "SIGMOID"},
        {"VOILUTSequence": []},
        {"VOILUTSequence": [Dataset()]},
        {"ModalityLUTSequence": [Dataset()]},
    ],
)
def test_odd_headers_count_as_none(attributes: dict[str, Any]) -> None:
    image = np.arange(4096, dtype="uint16").reshape(64, 64)
    grey = display_grey(image, header(**attributes))
    np.testing.assert_array_equal(grey, display_grey(image, header()))
    assert grey[0, 0] == 0
    assert grey[-1, -1] == 255


def test_non_numeric_values_count_as_absent() -> None:
    image = np.arange(4000, dtype="uint16").reshape(40, 100)
    head = header()
    for keyword in ("RescaleSlope", "WindowCenter", "WindowWidth"):
        tag = Tag(keyword)
        head._dict[tag] = RawDataElement(tag, "DS", 6, b"a lot ", 0, False, True)
    np.testing.assert_array_equal(display_grey(image, head), display_grey(image, header()))


def test_first_of_several_windows() -> None:
    image = np.arange(4000, dtype="uint16").reshape(40, 100)
    several = display_grey(image, header(WindowCenter=["500", "2000"], WindowWidth=["200", "4000"]))
    one = display_grey(image, header(WindowCenter="500", WindowWidth="200"))
    np.testing.assert_array_equal(several, one)


@given(stored_values(), st.integers(0, 2**16 - 1))
def test_bits_outside_the_stored_ones_are_cut_off(stored: Any, noise: int) -> None:
    bits, _, values = stored
    mask = (1 << bits) - 1
    noisy = ((values.astype(np.int64) & mask) | (noise & ~mask & 0xFFFF)).astype("uint16").view(values.dtype)
    np.testing.assert_array_equal(stored_bits(noisy, bits, header(HighBit=bits - 1)).values, values)


def test_high_bit() -> None:
    values = np.array([0, 1, 2048, 4095], "uint16")
    np.testing.assert_array_equal(stored_bits(values << 4, 12, header(HighBit=15)).values, values)
    low = stored_bits(values, 12, header(HighBit=15))
    np.testing.assert_array_equal(low.values, values)  # the low bits are in use: the high bit is wrong
    signed = np.array([-2048, -1, 2047], "int16")
    np.testing.assert_array_equal(stored_bits(signed << 4, 12, header(HighBit=15)).values, signed)


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=50))
def test_wide_integers(values: list[int]) -> None:
    image = np.array([values], "int32")
    grey = through_table(image, lambda present, counts: percentile_window(present.astype(float), counts))
    order = np.argsort(image[0])
    assert (np.diff(grey[0][order].astype(int)) >= 0).all()


def test_constant_image_is_black() -> None:
    assert not display_grey(np.full((5, 5), 7, "uint16"), header()).any()
