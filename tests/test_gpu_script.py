"""`scripts/gpu` and its figures, as far as they go without a GPU."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
from pathlib import Path

import pytest
from places import ROOT

pytest.importorskip("onnx", reason="needs the train extra")
SCRIPT = ROOT / "scripts" / "gpu"
FIGURES = runpy.run_path(str(ROOT / "scripts" / "gpu_figures.py"))
RECORD = {
    "gpu": "A GPU",
    "note": "",
    "date": "2026-01-02",
    "onnxruntime": "1",
    "parts": {
        "parity": {"largest_change": 0.004, "same_reports": 0.97},
        "encoder": {"error": "RuntimeError: no"},
        "stages": {"decoding_share": 0.1},
        "end_to_end": {"studies_per_second": 3500.0},
    },
}


def rows(record: dict) -> dict[str, str]:
    table = FIGURES["table"](record).splitlines()
    assert table[0].endswith(" 2026-01-02, onnxruntime 1.")
    return {cells[1].split()[0]: cells[-2].strip() for cells in (line.split("|") for line in table[4:])}


def test_the_table_has_a_verdict_on_each_figure() -> None:
    verdicts = {"largest": "met", "share": "met", "encoder": "not measured", "128-px": "met"}
    assert rows(RECORD) == verdicts
    worse = RECORD | {"parts": {"parity": {"largest_change": 0.006}, "end_to_end": {"studies_per_second": 2999.0}}}
    assert rows(worse)["largest"] == rows(worse)["128-px"] == "**missed**"


def test_figures_of_a_cpu_get_no_verdict() -> None:
    table = FIGURES["table"](RECORD | {"gpu": None, "note": "No GPU."})
    assert table.startswith("No GPU.")
    assert " met " not in table


def test_usage() -> None:
    done = subprocess.run([SCRIPT], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "scripts/gpu WHEELS IMAGES RESULT.json" in done.stderr


def test_wheels_in_parts_are_joined_and_installed_offline(tmp_path: Path) -> None:
    wheels, log = tmp_path / "wheels", tmp_path / "log"
    wheels.mkdir()
    (wheels / "a-1.whl").write_text("whole")
    for number, part in enumerate(("one ", "two ", "three")):
        (wheels / f"b-1.whl.{number:02}").write_text(part)
    python = tmp_path / "python3"
    python.write_text(
        f'#!/bin/sh\necho "$@" >>{log}\nfor i in "$@"; do case $i in *.whl) cat "$i" >>{log};; esac; done\n'
    )
    python.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    result = tmp_path / "result.json"
    subprocess.run([SCRIPT, wheels, tmp_path, result, "--dry-run"], check=True, env=environment, timeout=60)
    lines = log.read_text()
    assert "--no-index" in lines
    assert "wholeone two three" in lines
    assert "-m pytest -q -m gpu" in lines
    assert f"scripts/gpu_figures.py {tmp_path} {result} --tests 0 --dry-run" in lines


@pytest.mark.slow
def test_a_dry_run_measures_every_part(tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    arguments = [str(ROOT / "examples" / "phantoms"), str(result), "--dry-run"]
    assert FIGURES["main"](arguments) == 0
    record = json.loads(result.read_text())
    assert record["gpu"] is None
    assert record["precision"] == "float16"
    assert record["bound_steps"] == ["sentence_step", "word_search"]
    assert not [part for part in record["parts"].values() if "error" in part]
    assert record["parts"]["parity"]["largest_change"] <= 0.005
    assert record["parts"]["parity"]["reports"] > 0
    assert 0 < record["parts"]["encoder"]["encoder_share_of_peak"] < 2
