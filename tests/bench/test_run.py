"""`cxreport bench` with the tiny bundle."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cxreport.bench.studies import Size, write_studies
from cxreport.model.choices import FileEncoding

STAGES = ["find", "read", "pixels", "preprocess", "encode", "plan", "sentences", "words", "report", "render", "record"]
SMALL = ("--size", "96x80", "--repeats", 2, "--workers", 0)


@pytest.fixture
def bench(run_cli: Callable, tiny_bundle: Path) -> Callable:
    def run(*arguments: object):
        return run_cli("bench", "--model", tiny_bundle, "--device", "cpu", *arguments)

    return run


@pytest.mark.slow
def test_json(bench: Callable) -> None:
    pytest.importorskip("torch", reason="needs the train extra")
    done = bench("--studies", 6, *SMALL, "--few", 2, "--json", "--mix", "raw=50,j2k=20,png=30")
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["studies"], result["left_out"]) == (6, {})
    assert result["note"].startswith("Generated, 96 x 80: 3 raw, 2 png, 1 j2k")
    assert result["environment"]["precision"] == "float32"
    assert list(result["stages"]["stages"]) == STAGES
    for stage in result["stages"]["stages"].values():
        assert len(stage["repeats"]) == 2
        assert stage["quartiles"][0] <= stage["median"] <= stage["quartiles"][1]
    assert {kind["kind"]: kind["studies"] for kind in result["decoding"]} == {"raw": 3, "png": 2, "j2k": 1}
    assert set(result["kernels"]["steps"]) == {"encode_batch", "sentence_step", "word_step"}
    assert set(result["encoders"]) == {"float32"}
    assert (result["wall"]["studies"], result["wall"]["failures"], result["wall"]["workers"]) == (6, 0, 0)
    assert result["wall"]["images_per_second"] == pytest.approx(6 / result["wall"]["seconds"]["median"])
    assert result["eager"]["studies"] == result["eager"]["same_words"] == 6
    assert [run["studies"] for run in result["memory"]] == [2, 6]
    assert result["start"]["help"]["median"] > result["start"]["python"]["median"]
    targets = {target["name"]: target for target in result["targets"]}
    assert len(targets) == 12
    assert targets["encoder, float32 / int8"]["note"] == "the bundle has no int8 variant"
    assert all(target["value"] > 0 for name, target in targets.items() if "int8" not in name)
    assert {target["met"] for target in targets.values()} <= {True, False, None}


@pytest.mark.slow
def test_table(bench: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a folder of the user's, without PyTorch."""
    write_studies(tmp_path, 4, Size(64, 64), {FileEncoding.PNG: 1.0})
    spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else spec(name))
    done = bench(tmp_path, *SMALL, "--studies", 3, "--skip", "memory", "--skip", "start")
    assert done.exit_code == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert "Stages, one process, 3 studies: ms per study" in done.stdout
    lines = done.stdout.split("Targets")[1].splitlines()
    both = [line for line in lines if line.startswith("eager / ours")]
    assert [("Eager PyTorch needs the 'train'" in line) for line in both] == [True, True]
    (wall,) = (line for line in lines if line.startswith("wall /"))
    assert " met " in wall or " missed " in wall
    assert sum("--skip start" in line for line in lines) == 3
    assert "no such study" in done.stdout
    assert "bench: stages\nbench: decoding\n" in done.stderr
    assert "bench: memory" not in done.stderr


def test_nothing_to_read(bench: Callable, tmp_path: Path) -> None:
    done = bench(tmp_path)
    assert done.exit_code == 3
    assert "No study" in done.stderr


@pytest.mark.parametrize("arguments", [("--mix", "bmp=1"), ("--size", "big"), ("--skip", "nothing")])
def test_usage(bench: Callable, arguments: tuple) -> None:
    assert bench(*arguments).exit_code == 2
