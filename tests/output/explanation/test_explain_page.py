from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from html_reader import Reader
from made_explanation import made_explanation
from PIL import Image

from cxreport import DISCLAIMER
from cxreport.errors import UsageError
from cxreport.explain import heatmap
from cxreport.explain.explain import Explanation
from cxreport.model.bundle import load_manifest
from cxreport.model.manifest import Manifest
from cxreport.output.explanation.page import page, write_files
from cxreport.reading.study import read_studies


@pytest.fixture(scope="module")
def manifest(tiny_bundle: Path) -> Manifest:
    return load_manifest(tiny_bundle)


@pytest.fixture(scope="module")
def explanation(phantoms: Path) -> Explanation:
    return made_explanation(phantoms)


# Without a browser


def test_files(manifest, explanation, tmp_path) -> None:
    written = write_files(explanation, manifest, tmp_path / "new" / "folder")
    assert [path.name for path in written] == [
        "original.png",
        "01-findings.png",
        "02-findings.png",
        "03-impression.png",
        "04-tag-pneumothorax.png",
        "index.html",
    ]
    assert sorted(path.name for path in written[0].parent.iterdir()) == sorted(path.name for path in written)
    for path in written[:-1]:
        with Image.open(path) as picture:
            assert picture.size == (512, 512)
            assert picture.info == {"Software": "cxreport"}  # nothing of the patient, but the mark of a result
            assert picture.mode == ("L" if path.name == "original.png" else "RGB")


def test_what_is_written_is_not_read_as_radiographs(manifest, explanation, tmp_path) -> None:
    written = write_files(explanation, manifest, tmp_path)
    outcomes = list(read_studies([tmp_path]))
    assert len(outcomes) == len(written) - 1
    assert {outcome.error.code for outcome in outcomes} == {"not-a-chest-radiograph"}


def test_a_folder_that_cannot_be_made(manifest, explanation, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        write_files(explanation, manifest, tmp_path / "file")


def test_the_page_needs_nothing_from_elsewhere(manifest, explanation) -> None:
    text = page(explanation, manifest)
    read = Reader(text)
    for _, attributes in read.tags:
        assert not {"href", "srcset", "style"} & attributes.keys()
        assert (attributes.get("src") or "data:").startswith("data:")
    assert "http://" not in text
    assert "https://" not in text
    assert "url(" not in text
    assert "default-src 'none'" in text
    assert DISCLAIMER in read.text


def test_every_word_can_be_focused_and_has_a_map(manifest, explanation) -> None:
    read = Reader(page(explanation, manifest))
    words = read.of_class("word")
    assert len(words) == sum(len(s.text.split()) for s, _ in explanation.sentences)
    assert {word["tabindex"] for word in words} == {"0"}
    maps = [element["data-map"] for _, element in read.tags if "data-map" in element]
    assert len(maps) == len(set(maps)) == len(words) + len(explanation.sentences) + len(explanation.tags)


def test_under_a_sentence_stands_what_it_states_and_where_it_came_from(manifest, explanation) -> None:
    read = Reader(page(explanation, manifest))
    assert len(read.of_class("evidence")) == len(explanation.sentences)
    for notes in (
        "Pleural Effusion present (right, mild), probability 0.75; planned sentence",
        "Cardiomegaly possible, probability 0.50; added sentence",
        "Lung Lesion absent, no probability; free sentence",
    ):
        assert notes in read.text


def test_texts_are_escaped_and_paths_left_out(manifest, phantoms) -> None:
    bad = "</script><img src=x onerror=alert(1)>"
    hostile = made_explanation(phantoms, f"{bad}$title{{}}.png", (bad,))
    text = page(hostile, manifest)
    assert bad not in text
    assert "<img src=x" not in text
    assert "&amp;</span> <span" in text
    assert "secret" not in text
    assert text.count("<script") == text.count("</script>") == 2


# In a browser


@pytest.fixture
def shown(browser, manifest, explanation, tmp_path) -> Iterator:
    """The page in a tab without network; errors and refused resources fail the test."""
    (tmp_path / "index.html").write_text(page(explanation, manifest), encoding="utf-8")
    context = browser.new_context(offline=True, viewport={"width": 1200, "height": 800})
    tab = context.new_page()
    problems: list[str] = []
    tab.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.goto((tmp_path / "index.html").as_uri())
    yield tab
    assert problems == []
    context.close()


def strongest(tab) -> tuple[int, int] | None:
    """Row and column of the patch where the overlay is most opaque; None where it is hidden."""
    tab.wait_for_timeout(200)  # the overlay fades
    pixels = tab.evaluate(
        """() => {
            const canvas = document.getElementById("overlay");
            if (getComputedStyle(canvas).opacity !== "1") return null;
            const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            return [...data].filter((_, i) => i % 4 === 3);
        }"""
    )
    if pixels is None:
        return None
    row, column = divmod(int(np.argmax(pixels)), 8 * 16)
    return row // 16, column // 16


def test_pointing_at_a_word_lights_its_patches(shown) -> None:
    assert strongest(shown) is None
    first = shown.locator(".word").first
    first.hover()
    assert strongest(shown) == (0, 0)
    shown.get_by_text("effusion.", exact=True).first.hover()
    assert strongest(shown) == (6, 1)
    assert "effusion. \N{EN DASH} strongest at the lower image left" in shown.inner_text("#caption")
    shown.locator("h1").hover()
    assert strongest(shown) is None


def test_the_page_shows_what_the_pictures_show(shown, explanation) -> None:
    shown.locator(".number").first.hover()
    strongest(shown)
    drawn = shown.evaluate(
        """() => {
            const canvas = document.getElementById("overlay");
            return [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data];
        }"""
    )
    heat = heatmap.upsampled(explanation.sentences[0][1].weights, 128, 128)
    pixels = np.array(drawn, np.float32).reshape(128, 128, 4)
    np.testing.assert_allclose(pixels[..., 3], 255 * heatmap.OPACITY * heat, atol=2)
    seen = pixels[..., 3] > 64  # a canvas keeps colours that are nearly transparent coarsely
    np.testing.assert_allclose(pixels[seen][:, :3], heatmap.coloured(heat)[seen], atol=6)


def test_what_is_seen_changes(shown) -> None:
    picture = shown.locator(".picture")
    before = picture.screenshot()
    shown.get_by_text("effusion.", exact=True).first.hover()
    strongest(shown)
    assert picture.screenshot() != before


def test_pointing_at_a_sentence_shows_its_map(shown) -> None:
    shown.locator(".number").nth(1).hover()
    assert strongest(shown) == (5, 4)
    shown.locator(".number").nth(3).hover()
    assert strongest(shown) == (1, 6)


def test_keys_do_what_the_pointer_does(shown) -> None:
    shown.keyboard.press("Tab")
    assert strongest(shown) == (6, 1)  # the number of the first sentence
    shown.keyboard.press("Tab")
    assert strongest(shown) == (0, 0)
    for _ in range(6):
        shown.keyboard.press("ArrowRight")
    assert strongest(shown) == (6, 1)
    shown.keyboard.press("Escape")
    assert strongest(shown) is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_both_schemes(shown, scheme: str) -> None:
    shown.emulate_media(color_scheme=scheme)
    for selector in ("body", ".notice", ".number", ".evidence", ".model", "summary"):
        colours = shown.evaluate(
            "s => [getComputedStyle(document.querySelector(s)).color, getComputedStyle(document.body).backgroundColor]",
            selector,
        )
        light, dark = sorted((luminance(colour) for colour in colours), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, selector


def luminance(colour: str) -> float:
    """Relative luminance of an sRGB colour (WCAG 2)."""
    values = np.array([int(v) for v in re.findall(r"\d+", colour)[:3]]) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("width", [360, 700, 1600])
def test_nothing_is_wider_than_the_window(shown, width: int) -> None:
    shown.set_viewport_size({"width": width, "height": 800})
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
