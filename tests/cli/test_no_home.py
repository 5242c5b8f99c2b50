"""Commands where the user has neither HOME nor an entry in the user database, as in many containers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT

from cxreport.model.bundle import load_manifest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the user database is that of POSIX")

NO_USER = """
import os, pathlib
os.getuid = lambda: 2**31 - 9
try:
    pathlib.Path.home()
except RuntimeError:
    from cxreport.cli.app import main
    main()
"""


def run(*arguments: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"]}
    if "SYSTEMROOT" in os.environ:
        environment["SYSTEMROOT"] = os.environ["SYSTEMROOT"]
    return subprocess.run(
        [sys.executable, "-c", NO_USER, *map(str, arguments)],
        cwd=ROOT,
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A bundle whose precision is measured, and remembered where there is a home."""
    folder = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    int8 = shutil.copytree(tiny_bundle, folder / "int8")
    description = json.loads((int8 / "model.json").read_text())
    description |= {"precision": "int8", "quantised_from": load_manifest(folder).sha256}
    (int8 / "model.json").write_text(json.dumps(description))
    return folder


def test_reports_are_drafted(bundle: Path, phantoms: Path) -> None:
    for flags in (["--json"], ["--format", "text"]):
        done = run("generate", "--model", bundle, phantoms / "normal-8bit.png", *flags)
        assert (done.returncode, done.stderr.count("\n")) == (0, 1), done.stderr
        assert "normal-8bit.png" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["schema"], ["info", "--model", "{bundle}"], ["explain", "--model", "{bundle}", "{picture}"]],
    ids=lambda arguments: arguments[0],
)
def test_a_command(bundle: Path, phantoms: Path, arguments: list[str]) -> None:
    picture = phantoms / "normal-8bit.png"
    done = run(*(argument.format(bundle=bundle, picture=picture) for argument in arguments))
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_texts_are_labelled() -> None:
    done = run("label", "-", stdin='{"id": 1, "text": "Effusion."}\n')
    assert (done.returncode, done.stderr) == (0, "")


def test_an_index_is_built_and_searched(bundle: Path, tmp_path: Path) -> None:
    reports, index = tmp_path / "reports.jsonl", tmp_path / "x.index"
    reports.write_text('{"id": 1, "text": "There is a pleural effusion."}\n')
    assert run("index", "build", reports, "--out", index, "--model", bundle).returncode == 0
    done = run("retrieve", index, "--text", "effusion", "--model", bundle, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["reports"][0]["id"] == "1"


def test_missing_data_are_no_unexpected_error(bundle: Path, tmp_path: Path) -> None:
    done = run("evaluate", "--nih", tmp_path / "none", "--model", bundle)
    assert done.returncode == 2, done.stderr
