"""The pages: links, sizes, commands and examples in them, and what the program writes into them."""

from __future__ import annotations

import csv
import importlib.util
import inspect
import io
import itertools
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer.main
from places import ROOT

from cxreport.cli.app import app

PACKAGE = ROOT / "cxreport"
PAGES = sorted(
    path
    for folder in (".", "docs", "examples", "exported", "exported/default")
    for path in (ROOT / folder).glob("*.md")
)
GUIDES = [page for page in PAGES if page.name not in ("CHANGELOG.md", "cli.md", "experiments.md")]
"""Pages that say how things are done today."""
NEW_FILES = ("encoders/resnet", "recipes/resnet")
"""Of a recipe in docs/contributing.md."""
OTHER_TOOLS_OPTIONS = {"--check", "--side", "--update-golden"}


def run(*arguments: object, **settings) -> subprocess.CompletedProcess[str]:
    settings = {"cwd": ROOT} | settings
    return subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, timeout=120, **settings
    )


def module_of(path: str) -> ModuleType:
    """A module of the checkout that is no part of the package."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    """Code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def prose(page: Path) -> str:
    """The text of a page without its code blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_generated_blocks_are_up_to_date() -> None:
    done = run("scripts/docs.py", "--check")
    assert done.returncode == 0, done.stderr


def test_a_page_without_its_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="no marks of tree"):
        module_of("scripts/docs.py").with_block("text", "tree", "content")


def test_the_tree_follows_the_order_of_imports() -> None:
    assert module_of("scripts/docs.py").ROOMS == module_of("tests/test_house.py").ROOMS


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_readme_is_one_to_read_to_the_end() -> None:
    assert 6_000 <= (ROOT / "README.md").stat().st_size <= 8_000


def test_readme_leads_to_every_page() -> None:
    links = re.findall(r"\]\((docs/\w+\.md)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert {page_id(page) for page in PAGES if page.parent.name == "docs"} <= set(links)


@pytest.mark.parametrize("page", GUIDES, ids=page_id)
def test_files_exist(page: Path) -> None:
    """Paths of the checkout, or of the package as the flow of a study has them."""
    text = re.sub(r"<!-- (\w+):begin.*?<!-- \1:end -->", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for path in re.findall(r"(?<![\w/.-])((?:\w+/)+\w+\.(?:py|toml))\b", text):
        assert path.startswith(NEW_FILES) or any((folder / path).exists() for folder in (ROOT, PACKAGE)), path


def options_by_command() -> dict[str, dict[str, Any]]:
    """Options of each command, by their names, from the live command line."""
    commands = module_of("scripts/docs.py").commands(typer.main.get_command(app))
    return {
        name: {option: parameter for parameter in command.params for option in (*parameter.opts, "--help", "-h")}
        for name, command in commands
    }


def calls(text: str) -> Iterator[list[str]]:
    """Calls of cxreport in shell lines, without what surrounds them."""
    for line in re.sub(r"(\||\\)\n", r"\1 ", text).splitlines():
        lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars="|&;")
        lexer.whitespace_split = True
        for separates, words in itertools.groupby(lexer, lambda word: set(word) <= set("|&;")):
            name, *arguments = words
            if not separates and name == "cxreport" and arguments:
                yield arguments


@pytest.mark.parametrize("page", GUIDES, ids=page_id)
def test_commands_exist(page: Path) -> None:
    options = options_by_command()
    inline = re.findall(r"`(cxreport [^`]+)`", prose(page))
    for words in (call for text in (*blocks(page, "sh"), *inline) for call in calls(text)):
        if words[0] in ("--help", "--version", "COMMAND"):
            continue
        name = " ".join(words[:2]) if words[0] == "index" else words[0]
        assert name in options, words
        for option, value in zip(words, [*words[1:], ""], strict=True):
            if option.startswith("-") and option != "-":
                assert option in options[name], words
                choices = str(options[name][option].metavar).split("|")
                assert len(choices) == 1 or choices[0].isupper() or value.isupper() or value in choices, words


@pytest.mark.parametrize("page", GUIDES, ids=page_id)
def test_options_exist(page: Path) -> None:
    named = {name: option for command in options_by_command().values() for name, option in command.items()}
    taken_back = {name.replace("--", "--no-", 1) for name, option in named.items() if getattr(option, "is_flag", False)}
    options = named.keys() | taken_back | OTHER_TOOLS_OPTIONS
    assert set(re.findall(r"`(--[\w-]+)", prose(page))) <= options


@pytest.mark.slow
@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "docs" / "python.md"], ids=page_id)
def test_python_examples_run(page: Path, tmp_path: Path, phantoms: Path) -> None:
    (tmp_path / "FOLDER").mkdir()
    shutil.copy(phantoms / "normal-8bit.png", tmp_path / "FOLDER")
    code = "\n".join(blocks(page, "python"))
    assert code
    done = run("-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["generate", "retrieve"])
def test_every_field_is_in_the_contract(command: str) -> None:
    schema = json.loads(run("-m", "cxreport", "schema", "--of", command).stdout)
    code = " ".join(re.findall(r"`([^`]+)`", (ROOT / "docs" / "records.md").read_text(encoding="utf-8")))
    assert set(fields(schema)) <= set(re.findall(r"\w+", code))


def fields(schema: Any) -> Iterator[str]:
    """Names of all properties of a JSON Schema."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
    values = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    for value in values:
        yield from fields(value)


def words_of_picture(svg: str) -> str:
    """What a picture of the terminal says."""
    drawing = svg[svg.index("<g ") :].replace("&#160;", " ")
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", drawing))


def test_the_picture_names_no_machine_and_a_command_that_exists() -> None:
    words = words_of_picture((ROOT / "examples" / "screenshot.svg").read_text(encoding="utf-8"))
    assert "/" not in words
    command = re.search(r"\$ cxreport (\w+) ((?:--\w+ [\w.]+ )*)[\w.]+", words)
    assert command, words
    assert set(re.findall(r"--\w+", command[2])) <= set(options_by_command()[command[1]])


@pytest.mark.slow
def test_the_picture_is_current() -> None:
    committed = (ROOT / "examples" / "screenshot.svg").read_text(encoding="utf-8")
    assert words_of_picture(module_of("scripts/docs.py").picture()) == words_of_picture(committed)


def test_the_licence_is_whole() -> None:
    assert len((ROOT / "LICENSE").read_text()) > 10_000


def test_phantoms_come_out_of_their_script(tmp_path: Path, phantoms: Path) -> None:
    """Decoded pixels and headers are compared, as compressors differ from version to version."""
    import numpy as np
    from PIL import Image
    from pydicom import dcmread

    assert run("examples/make_phantoms.py", tmp_path).returncode == 0
    names = sorted(path.name for path in phantoms.iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    for name in names:
        if name.endswith(".png"):
            np.testing.assert_array_equal(Image.open(tmp_path / name), Image.open(phantoms / name))
            continue
        drawn, committed = dcmread(tmp_path / name), dcmread(phantoms / name)
        np.testing.assert_array_equal(drawn.pixel_array, committed.pixel_array)
        assert drawn.SOPInstanceUID == committed.SOPInstanceUID
        assert drawn.file_meta.TransferSyntaxUID == committed.file_meta.TransferSyntaxUID
    assert sum(path.stat().st_size for path in phantoms.iterdir()) < 1_500_000


def test_python_api_example(phantoms: Path, tiny_bundle: Path) -> None:
    picture = phantoms / "normal-8bit.png"
    done = run("examples/python_api.py", picture, tiny_bundle)
    assert done.returncode == 0, done.stderr
    bundle, drafted, line, study, array, from_tags = done.stdout.splitlines()
    assert bundle == "tiny 0: 14 tags"
    assert drafted.startswith("normal-8bit.png: ")
    assert all(sentence["map"]["words"] for sentence in json.loads(line)["sentences"])
    assert study.startswith(f"{picture}: {{'findings': ")
    assert array.startswith("array: ")
    assert from_tags.startswith("from tags: ")


def test_python_api_example_shows_every_function() -> None:
    import cxreport

    functions = {name for name in cxreport.__all__ if inspect.isfunction(getattr(cxreport, name))}
    text = (ROOT / "examples" / "python_api.py").read_text()
    assert {name for name in functions if f"cxreport.{name}(" not in text} == {"find_bundle", "load_manifest"}


def test_worklist_example(generate, tmp_path: Path, phantoms: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_text("not a picture")
    records = generate("--json", phantoms, bad).stdout
    lines = run("examples/jsonl_to_worklist.py", input=records).stdout.splitlines()
    assert lines[0] == "study,told,tags,impression,error"
    assert lines[1].startswith("bad.png,,,,")
    assert len(lines) == 1 + len(records.splitlines())


def test_worklist_example_tells_what_the_reports_tell(generate, phantoms: Path) -> None:
    """Of both versions of records: version 1 has no sentences, and its plan is all that it says of them."""
    (line,) = generate("--json", "--threshold", 0, phantoms / "rle.dcm").stdout.splitlines()
    record = json.loads(line)
    old = {key: value for key, value in record.items() if key != "sentences"} | {"schema_version": 1}
    record["plan"] = []
    both = run("examples/jsonl_to_worklist.py", input=f"{json.dumps(record)}\n{json.dumps(old)}\n").stdout
    new_row, old_row = list(csv.DictReader(both.splitlines()))
    assert new_row["told"].startswith("Cardiomegaly 0.")
    assert new_row["told"] == old_row["told"]
    assert len(new_row["told"].split("; ")) == len(old["plan"]) > 2


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r=", "\n=", " =", "\uff1d"])
def test_no_cell_of_the_worklist_is_a_formula(start: str) -> None:
    """A spreadsheet computes what begins like that, such as the name of a file that came by post."""
    text = f"{start}HYPERLINK(1)"
    tag = {"name": text, "positive": True}
    record = {"study": {"id": text}, "tags": [tag], "impression": [text], "error": {"message": text}}
    record["plan"] = [{"tag": text, "probability": None}]
    plain = {"study": {"id": "a-b.png"}, "tags": [], "impression": ["No change."]}
    done = run("examples/jsonl_to_worklist.py", input=f"{json.dumps(record)}\n{json.dumps(plain)}\n")
    first, second = csv.DictReader(io.StringIO(done.stdout, newline=""))
    for column in ("study", "told", "tags", "impression", "error"):
        assert first[column] == f"'{text.strip()}"
    assert (second["study"], second["impression"]) == ("a-b.png", "No change.")


@pytest.mark.parametrize("name", [".ci/run", "scripts/lint"])
def test_scripts_can_be_run(name: str) -> None:
    assert (ROOT / name).stat().st_mode & 0o111
