from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cxreport.explain import heatmap

MAPS = arrays(np.float32, st.tuples(st.integers(1, 8), st.integers(1, 8)), elements=st.floats(0, 1, width=32))


def one_hot(row: int, column: int, side: int = 8) -> np.ndarray:
    weights = np.zeros((side, side), np.float32)
    weights[row, column] = 1
    return weights


def test_colours_get_ever_lighter() -> None:
    luminance = np.array(heatmap.COLOURS) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) > 0).all()


@given(MAPS, st.integers(1, 40), st.integers(1, 40))
def test_upsampled_lies_between_0_and_1(weights: np.ndarray, height: int, width: int) -> None:
    heat = heatmap.upsampled(weights, height, width)
    assert heat.shape == (height, width)
    assert heat.dtype == np.float32
    assert 0 <= heat.min() <= heat.max() <= 1


def test_upsampled_is_bilinear_and_does_not_depend_on_the_scale() -> None:
    weights = np.array([[0, 1]], np.float32)
    expected = [[0, 0.25, 0.75, 1]]
    np.testing.assert_allclose(heatmap.upsampled(weights, 1, 4), expected, atol=1e-6)
    np.testing.assert_allclose(heatmap.upsampled(weights / 64, 1, 4), expected, atol=1e-6)


def test_where_there_is_no_weight_the_picture_stays() -> None:
    grey = np.arange(64 * 48, dtype=np.uint8).reshape(64, 48)
    picture = heatmap.overlay(grey, np.zeros((8, 8), np.float32))
    np.testing.assert_array_equal(picture, np.repeat(grey[..., None], 3, -1))
    picture = heatmap.overlay(grey, one_hot(0, 0))
    np.testing.assert_array_equal(picture[32:], np.repeat(grey[32:, :, None], 3, -1))
    assert picture.dtype == np.uint8


def test_where_the_most_weight_is_the_picture_shines_through() -> None:
    weights = np.ones((2, 2), np.float32)
    black, white = (heatmap.overlay(np.full((4, 4), grey, np.uint8), weights)[0, 0].astype(int) for grey in (0, 255))
    np.testing.assert_allclose(white - black, 255 * (1 - heatmap.OPACITY), atol=1)


@given(st.integers(0, 7), st.integers(0, 7))
def test_peak(row: int, column: int) -> None:
    weights = one_hot(row, column)
    assert heatmap.peak(weights) == (row, column)
    assert heatmap.peak_pixel(weights, 80, 160) == (10 * row + 5, 20 * column + 10)
    brightest = heatmap.overlay(np.zeros((80, 160), np.uint8), weights).sum(-1, dtype=int).argmax()
    assert (brightest // 160 // 10, brightest % 160 // 20) == (row, column)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (one_hot(0, 0), "strongest at the upper image left"),
        (one_hot(7, 7), "strongest at the lower image right"),
        (one_hot(4, 0), "strongest at the image left"),
        (one_hot(0, 4), "strongest at the upper middle"),
        (one_hot(7, 3), "strongest at the lower middle"),
        (one_hot(4, 4), "strongest at the centre"),
        (one_hot(0, 1, 2), "strongest at the upper image right"),
        (np.full((8, 8), 1 / 64, np.float32), "about even over the picture"),
    ],
)
def test_described_by_the_sides_of_the_image(weights: np.ndarray, words: str) -> None:
    assert heatmap.describe(weights) == words


@pytest.mark.parametrize(("shape", "larger"), [((10, 20), (20, 40)), ((40, 40), (40, 40)), ((50, 20), (50, 20))])
def test_enlarged(shape: tuple[int, int], larger: tuple[int, int]) -> None:
    assert heatmap.enlarged(np.zeros(shape, np.uint8), 40).shape == larger
