from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from html_reader import Reader
from made_explanation import made_explanation

from cxreport.errors import UnreadableFileError
from cxreport.model.bundle import load_manifest
from cxreport.output.page.folder_index import Entry, folder_index
from cxreport.output.page.study_page import failure_page, study_page
from cxreport.types import Failure

BAD = "</script><img src=x onerror=alert(1)>&\"'"


@pytest.fixture
def folder(tiny_bundle: Path, phantoms: Path, tmp_path: Path) -> Path:
    """Pages of two reports, one of them with a warning, and of a failure."""
    manifest, report = load_manifest(tiny_bundle), made_explanation(phantoms, "effusion #1%.png").report
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "effusion #1%.html").write_text(study_page(report, manifest))
    heart = replace(
        report, study=replace(report.study, id="heart"), sentences=report.sentences[1:2], warnings=("Odd.",)
    )
    (pages / "heart.html").write_text(study_page(heart, manifest))
    (pages / "torn.html").write_text(failure_page(Failure("torn", (), UnreadableFileError("It is torn."))))
    (pages / "other.html").write_text("<p>not ours</p>")
    return pages


def cards(text: str) -> list[dict]:
    return [attributes for tag, attributes in Reader(text).tags if tag == "li"]


def test_it_lists_the_pages_of_studies_and_no_others(folder: Path) -> None:
    text = folder_index(folder)
    links = [attributes["href"] for tag, attributes in Reader(text).tags if tag == "a"]
    assert links == ["effusion%20%231%25.html", "heart.html", "torn.html"]
    assert [card["data-state"] for card in cards(text)] == ["drafted", "drafted", "failed"]
    assert [card["data-warnings"] for card in cards(text)] == ["0", "1", "0"]
    assert "It is torn." in Reader(text).text
    assert [tag for tag, _ in Reader(text).tags].count("img") == 2


def test_its_own_page_is_not_a_study(folder: Path) -> None:
    (folder / "index.html").write_text(folder_index(folder))
    assert len(cards(folder_index(folder))) == 3


@pytest.mark.parametrize("fields", ["[]", "{}", '{"id": 1, "statements": 3}', "{", "null", "[" * 10_000])
def test_a_damaged_page_is_passed_over(folder: Path, fields: str) -> None:
    text = f'<script type="application/json" id="entry">{fields}</script>'
    (folder / "heart.html").write_text(text)
    assert len(cards(folder_index(folder))) == 2


def test_texts_of_pages_are_escaped(folder: Path) -> None:
    entry = Entry(BAD, statements=((BAD, BAD),), summary=BAD, thumbnail=f"javascript:{BAD}")
    (folder / f"{'x'}.html").write_text(entry.element)
    text = folder_index(folder)
    assert len(cards(text)) == 4
    assert "<img src=x" not in text
    assert "javascript:" not in text
    assert text.count("<script") == text.count("</script>") == 1


def test_an_empty_folder(tmp_path: Path) -> None:
    assert cards(folder_index(tmp_path)) == []


def test_a_run_writes_it_and_a_study_of_that_name_has_another(
    generate: Callable, phantoms: Path, tmp_path: Path
) -> None:
    for name in ("index", "a.png"):
        shutil.copy(phantoms / "normal-8bit.png", tmp_path / name)
    out = tmp_path / "out"
    done = generate(tmp_path / "index", tmp_path / "a.png", "--tags-only", "--format", "html", "--out", f"{out}/")
    assert done.exit_code == 0, done.stderr
    assert sorted(path.name for path in out.iterdir()) == ["a.png.html", "index.html", "index~2.html"]
    assert len(cards((out / "index.html").read_text())) == 2


def test_a_resumed_run_lists_all_studies(
    generate: Callable, phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cxreport.output.file_writers import FolderWriter

    (tmp_path / "in").mkdir()
    for number in range(3):
        shutil.copy(phantoms / "normal-8bit.png", tmp_path / "in" / f"{number}.png")
    common = (tmp_path / "in", "--workers", 0, "--batch-size", 1, "--tags-only", "--format", "html", "--out")
    write, left = FolderWriter.write, [1]

    def write_one(writer: FolderWriter, *arguments) -> object:
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return write(writer, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(FolderWriter, "write", write_one)
        assert generate(*common, f"{tmp_path}/out/").exit_code == 130
    done = generate(*common, f"{tmp_path}/out/", "--resume")
    assert done.exit_code == 0
    assert " 1 of them in an earlier run." in done.stderr
    assert len(cards((tmp_path / "out" / "index.html").read_text())) == 3


@pytest.mark.slow
def test_thousands_of_studies_stay_small(tiny_bundle: Path, phantoms: Path, tmp_path: Path) -> None:
    manifest, report = load_manifest(tiny_bundle), made_explanation(phantoms).report
    page = study_page(report, manifest)
    for number in range(2000):
        (tmp_path / f"{number}.html").write_text(page)
    start = time.perf_counter()
    text = folder_index(tmp_path)
    assert time.perf_counter() - start < 20
    assert len(text) < 2000 * 3000


# In a browser


@pytest.fixture
def shown(browser, folder: Path) -> Iterator:
    """The index in a tab without network; errors and refused resources fail the test."""
    (folder / "index.html").write_text(folder_index(folder))
    context = browser.new_context(offline=True, viewport={"width": 1000, "height": 800})
    tab = context.new_page()
    problems: list[str] = []
    tab.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.goto((folder / "index.html").as_uri())
    yield tab
    assert problems == []
    context.close()


def visible(tab) -> list[str]:
    return [link.text_content() for link in tab.locator("#studies a").all() if link.is_visible()]


def test_search_and_filters(shown) -> None:
    everything = ["effusion #1%.png", "heart", "torn"]
    assert visible(shown) == everything
    shown.fill("#search", "cardiomegaly POSSIBLE heart")
    assert visible(shown) == ["heart"]
    assert shown.inner_text("#count") == "1 of 3 studies"
    shown.fill("#search", "")
    shown.select_option("#tag", "Pleural Effusion")
    assert visible(shown) == ["effusion #1%.png"]
    shown.select_option("#certainty", "absent")
    assert visible(shown) == []
    shown.select_option("#tag", "Lung Lesion")
    assert visible(shown) == ["effusion #1%.png"]
    shown.select_option("#tag", "")
    shown.select_option("#certainty", "possible")
    assert visible(shown) == everything[:2]
    shown.select_option("#certainty", "")
    for state, names in (("failed", ["torn"]), ("warned", ["heart"]), ("drafted", everything[:2])):
        shown.select_option("#state", state)
        assert visible(shown) == names


def test_a_link_leads_to_the_page(shown) -> None:
    shown.get_by_text("effusion #1%.png").click()
    assert shown.inner_text("h1") == "effusion #1%.png"
    assert shown.evaluate("document.querySelector('img').naturalWidth") == 128


def test_keys_reach_all_controls(shown) -> None:
    reached = []
    for _ in range(5):
        shown.keyboard.press("Tab")
        reached.append(shown.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert reached == ["search", "tag", "certainty", "state", "A"]


def test_many_studies_come_a_few_at_a_time(browser, folder: Path) -> None:
    for number in range(450):
        (folder / f"{number:03}.html").write_text(Entry(f"study {number}").element)
    (folder / "index.html").write_text(folder_index(folder))
    tab = browser.new_page()
    tab.goto((folder / "index.html").as_uri())
    count = "document.querySelectorAll('#studies > li:not([hidden])').length"
    assert tab.evaluate(count) == 200
    assert tab.inner_text("#count") == "453 of 453 studies, the first 200 shown"
    tab.click("#more")
    assert tab.evaluate(count) == 400
    tab.click("#more")
    assert (tab.evaluate(count), tab.locator("#more").is_visible()) == (453, False)
    tab.close()


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """axe-core by npm."""
    if not shutil.which("npm"):
        pytest.skip("axe-core needs npm")
    place = tmp_path_factory.mktemp("axe")
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "axe-core@4"]
    done = subprocess.run(command, cwd=place, capture_output=True, timeout=120, check=False)
    script = place / "node_modules" / "axe-core" / "axe.min.js"
    if done.returncode or not script.exists():
        pytest.skip("axe-core cannot be installed")
    return script


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["index.html", "heart.html", "torn.html"])
def test_accessibility(browser, axe: Path, folder: Path, name: str, scheme: str) -> None:
    (folder / "index.html").write_text(folder_index(folder))
    context = browser.new_context(color_scheme=scheme, bypass_csp=True)
    tab = context.new_page()
    tab.goto((folder / name).as_uri())
    tab.add_script_tag(path=axe)
    result = tab.evaluate("axe.run()")
    assert [(rule["id"], rule["nodes"][0]["html"]) for rule in result["violations"]] == []
    assert len(result["passes"]) > 10
    context.close()
