"""`cxreport bench`: generated studies, what is measured on them with the tiny bundle, and the targets."""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cxreport import read_studies
from cxreport.bench.decoding import DecodeTimes
from cxreport.bench.eager import Comparison
from cxreport.bench.kernels import KernelTimes
from cxreport.bench.parts import Part
from cxreport.bench.processes import PeakMemory, StartTimes, measure_memory
from cxreport.bench.result import Benchmark, to_json
from cxreport.bench.spread import Spread, Times, measure
from cxreport.bench.stages import Throughput
from cxreport.bench.studies import Kind, Size, parse_mix, parse_size, phantom, write_studies
from cxreport.bench.targets import Target, all_targets
from cxreport.errors import UsageError
from cxreport.types import Study

STAGES = ["find", "read", "pixels", "preprocess", "encode", "plan", "sentences", "words", "report", "render", "record"]
SMALL = ("--size", "96x80", "--repeats", 2, "--workers", 0)


@pytest.fixture
def bench(run_cli: Callable, tiny_bundle: Path) -> Callable:
    def run(*arguments: object):
        return run_cli("bench", "--model", tiny_bundle, "--device", "cpu", *arguments)

    return run


def spread(*values: float) -> Spread:
    return Spread(values)


def times(wall: float, cpu: float | None = None) -> Times:
    return Times(spread(wall), spread(wall if cpu is None else cpu))


@pytest.fixture
def full() -> Benchmark:
    """Figures that are easy to reckon with: 100 studies on 4 CPUs."""
    environment: object = SimpleNamespace(cpus=4)
    found = Benchmark(environment, 100, "")  # type: ignore[arg-type]
    found.kernels = KernelTimes("float32", {"encode_batch": times(10, 38), "word_step": times(2, 2)})
    found.encoders = {"float32": times(12), "int8": times(3)}
    found.decoding = (
        DecodeTimes("j2k", 50, times(100), times(20), spread(25), spread(110)),
        DecodeTimes("raw", 50, times(4), times(4), spread(16), spread(30)),
    )
    found.wall = Throughput(100, 0, 4, 8, spread(1.2, 1.4, 1.5))
    found.eager = Comparison(5, spread(20), spread(300), spread(10), spread(50), 5, 2)
    found.memory = (PeakMemory(10, 200, 300), PeakMemory(100, 210, 500))
    found.start = StartTimes(spread(0.02), spread(0.2), spread(0.6), spread(1.0))
    return found


def by_name(found: Benchmark) -> dict[str, Target]:
    return {target.name: target for target in all_targets(found)}


def test_ratios_and_verdicts(full: Benchmark) -> None:
    told = {name: (target.value, target.met) for name, target in by_name(full).items()}
    assert told == {
        "encoder, float32 / int8": (4.0, True),
        # networks take 100 x 12 ms one after the other; codecs (50 x 20 + 50 x 4) ms on 4 CPUs
        "wall / larger of networks, codecs": (pytest.approx(1.4 / 1.2), True),
        "eager / ours, all studies": (pytest.approx(300 / 14), True),
        "eager / ours, one at a time": (15.0, True),
        "peak memory, main process": (210, True),
        "peak memory, with workers": (710, False),
        "peak memory, many / few studies": (pytest.approx(710 / 500), False),
        "start, --help": (0.2, True),
        "start, info": (0.6, False),
        "start, one PNG to its report": (1.0, True),
        "J2K codec, full / shrunk": (5.0, True),
        "raw file to network input": (16, False),
    }


def test_the_wall_is_set_against_what_the_cpus_allow(full: Benchmark) -> None:
    # 100 x 40 ms of networks and 1.2 s of codecs on 4 CPUs
    assert by_name(full)["wall / larger of networks, codecs"].note.endswith("together on 4 CPUs 1.30 s: 1.08 x")
    full.decoding = (DecodeTimes("j2k", 100, times(900), times(80), spread(1), spread(1)),)
    assert by_name(full)["wall / larger of networks, codecs"].value == pytest.approx(1.4 / 2.0)


def test_limits_are_met_at_themselves() -> None:
    assert Target("", "x", 3.0, True, 3.0).met
    assert Target("", "x", 3.0, True, 2.99).met is False
    assert Target("", "x", 3.0, False, 3.0).met
    assert Target("", "x", 3.0, False, 3.01).met is False


def test_nothing_measured_meets_nothing(full: Benchmark) -> None:
    left_out = {part: f"--skip {part}" for part in Part}
    targets = all_targets(Benchmark(full.environment, 1, "", left_out))
    assert len(targets) == len(all_targets(full))
    assert {(target.value, target.met) for target in targets} == {(None, None)}
    assert all("--skip" in target.note for target in targets)


def test_spreads() -> None:
    some = spread(5, 1, 2, 4, 3)
    assert (some.median, some.quartiles) == (3, (2, 4))
    assert spread(7).quartiles == (7, 7)
    assert to_json(some) == {"repeats": [5, 1, 2, 4, 3], "median": 3, "quartiles": [2, 4]}
    calls: list[int] = []
    measured = measure(lambda: calls.append(1), 3, 0.5)
    assert (len(calls), len(measured.wall_ms.repeats), len(measured.cpu_ms.repeats)) == (4, 3, 3)


def test_generated_studies_are_read(tmp_path: Path) -> None:
    mix = parse_mix("raw=30,rle=10,j2k=20,jpeg-ls=10,png=20,jpeg=10")
    made = write_studies(tmp_path, 20, Size(96, 80), mix)
    assert made.counts == {"raw": 6, "rle": 2, "j2k": 4, "jpeg-ls": 2, "png": 4, "jpeg": 2}
    assert made.bytes == sum(file.stat().st_size for file in tmp_path.iterdir())
    studies = list(read_studies([tmp_path]))
    assert all(isinstance(study, Study) and not study.warnings for study in studies)
    assert len({study.id for study in studies}) == 20
    assert {study.view.pixels.shape for study in studies} == {(96, 80)}
    assert [len(study.sources) for study in studies] == [1] * 20
    kinds = [study.sources[0].rpartition(".")[2] for study in studies]
    assert Counter(kinds[:10]) == {"dcm": 7, "png": 2, "jpeg": 1}  # any stretch of them has the shares


def test_phantoms_compress_like_radiographs(tmp_path: Path) -> None:
    """Without loss to a half to a fifth, and no two alike."""
    size = Size(1250, 1024)
    made = write_studies(tmp_path, 2, size, {Kind.J2K: 1.0})
    assert 2 < 2 * 2 * size.rows * size.columns / made.bytes < 5
    one, other = phantom(size, 1), phantom(size, 2)
    assert one.max() < 4096
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("text", ["raw", "raw=x", "bmp=1", "raw=0", "raw=-1", ""])
def test_mixes_that_are_none(text: str) -> None:
    with pytest.raises(UsageError):
        parse_mix(text)


@pytest.mark.parametrize("text", ["2500", "x", "0x10", "8x8", "-5x20", "1e3x20"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(UsageError):
        parse_size(text)


@pytest.mark.slow
def test_json(bench: Callable) -> None:
    done = bench("--studies", 6, *SMALL, "--few", 2, "--json", "--mix", "raw=50,j2k=20,png=30")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["studies"], found["left_out"]) == (6, {})
    assert found["note"].startswith("Generated, 96 x 80: 3 raw, 2 png, 1 j2k")
    assert found["environment"]["precision"] == "float32"
    assert list(found["stages"]["stages"]) == STAGES
    for stage in found["stages"]["stages"].values():
        assert len(stage["repeats"]) == 2
        assert stage["quartiles"][0] <= stage["median"] <= stage["quartiles"][1]
    assert {kind["kind"]: kind["studies"] for kind in found["decoding"]} == {"raw": 3, "png": 2, "j2k": 1}
    assert set(found["kernels"]["steps"]) == {"encode_batch", "sentence_step", "word_step"}
    assert set(found["encoders"]) == {"float32"}
    assert (found["wall"]["studies"], found["wall"]["failures"], found["wall"]["workers"]) == (6, 0, 0)
    assert found["wall"]["images_per_second"] == pytest.approx(6 / found["wall"]["seconds"]["median"])
    assert found["eager"]["studies"] == found["eager"]["same_words"] == 6
    assert [run["studies"] for run in found["memory"]] == [2, 6]
    assert found["start"]["help"]["median"] > found["start"]["python"]["median"]
    targets = {target["name"]: target for target in found["targets"]}
    assert len(targets) == 12
    assert targets["encoder, float32 / int8"]["note"] == "the bundle has no int8 variant"
    assert all(target["value"] > 0 for name, target in targets.items() if "int8" not in name)
    assert {target["met"] for target in targets.values()} <= {True, False, None}


@pytest.mark.slow
def test_table(bench: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a folder of the user's, without PyTorch."""
    write_studies(tmp_path, 4, Size(64, 64), {Kind.PNG: 1.0})
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


@pytest.mark.slow
def test_memory_counts_workers(tiny_bundle: Path, tmp_path: Path) -> None:
    write_studies(tmp_path, 8, Size(64, 64), {Kind.RAW: 1.0})
    files = [[file] for file in sorted(tmp_path.iterdir())]
    arguments = ["--model", str(tiny_bundle), "--device", "cpu", "--workers"]
    alone, helped = (measure_memory(files, [*arguments, workers]) for workers in ("0", "2"))
    if alone is None or helped is None:
        pytest.skip("no /proc")
    assert (alone.studies, alone.workers) == (8, 0)
    assert 20 < alone.main < 2000
    assert helped.workers > 20
    assert helped.total == helped.main + helped.workers


def test_nothing_to_read(bench: Callable, tmp_path: Path) -> None:
    done = bench(tmp_path)
    assert done.exit_code == 3
    assert "No study" in done.stderr


@pytest.mark.parametrize("arguments", [("--mix", "bmp=1"), ("--size", "big"), ("--skip", "nothing")])
def test_usage(bench: Callable, arguments: tuple) -> None:
    assert bench(*arguments).exit_code == 2
