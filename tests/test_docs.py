from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT


def run(*arguments: object, **settings) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, timeout=120, cwd=ROOT, **settings
    )


def test_readme_is_up_to_date() -> None:
    done = run("scripts/docs.py", "--check")
    assert done.returncode == 0, done.stderr


def test_links_of_the_readmes_lead_somewhere() -> None:
    for readme in (ROOT / "README.md", ROOT / "examples" / "README.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", readme.read_text()):
            assert (readme.parent / target).exists(), f"{readme.name}: {target}"


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
        made, kept = dcmread(tmp_path / name), dcmread(phantoms / name)
        np.testing.assert_array_equal(made.pixel_array, kept.pixel_array)
        assert made.SOPInstanceUID == kept.SOPInstanceUID
        assert made.file_meta.TransferSyntaxUID == kept.file_meta.TransferSyntaxUID
    assert sum(path.stat().st_size for path in phantoms.iterdir()) < 1_500_000


def test_python_api_example(phantoms: Path, tiny_bundle: Path) -> None:
    done = run("examples/python_api.py", phantoms / "normal-8bit.png", tiny_bundle)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("normal-8bit.png: ")


def test_worklist_example(generate, tmp_path: Path, phantoms: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_text("not a picture")
    records = generate("--json", phantoms, bad).stdout
    lines = run("examples/jsonl_to_worklist.py", input=records).stdout.splitlines()
    assert lines[0] == "study,positive,tags,impression,error"
    assert lines[1].startswith("bad.png,0,,,")
    assert len(lines) == 1 + len(records.splitlines())


@pytest.mark.parametrize("name", [".ci/run", "scripts/lint"])
def test_scripts_can_be_run(name: str) -> None:
    assert (ROOT / name).stat().st_mode & 0o111
