"""Targets: ratios and verdicts on figures that are easy to compute with."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from cxreport.bench.decoding import DecodeTimes
from cxreport.bench.eager import EagerComparison
from cxreport.bench.kernels import KernelTimes
from cxreport.bench.processes import PeakMemory, StartTimes
from cxreport.bench.result import Benchmark
from cxreport.bench.spread import Spread, Times
from cxreport.bench.stages import Throughput
from cxreport.bench.targets import Target, all_targets
from cxreport.model.choices import Part


def spread(*values: float) -> Spread:
    return Spread(values)


def times(wall: float, cpu: float | None = None) -> Times:
    return Times(spread(wall), spread(wall if cpu is None else cpu))


@pytest.fixture
def full() -> Benchmark:
    """Figures that are easy to reckon with: 100 studies on 4 CPUs."""
    environment: object = SimpleNamespace(cpus=4)
    result = Benchmark(environment, 100, "")  # type: ignore[arg-type]
    result.kernels = KernelTimes("float32", {"encode_batch": times(10, 38), "word_step": times(2, 2)})
    result.encoders = {"float32": times(12), "int8": times(3)}
    result.decoding = (
        DecodeTimes("j2k", 50, times(100), times(20), spread(25), spread(110)),
        DecodeTimes("raw", 50, times(4), times(4), spread(16), spread(30)),
    )
    result.wall = Throughput(100, 0, 4, 8, spread(1.2, 1.4, 1.5))
    result.eager = EagerComparison(5, spread(20), spread(300), spread(10), spread(50), 5, 2)
    result.memory = (PeakMemory(10, 200, 300), PeakMemory(100, 210, 500))
    result.start = StartTimes(spread(0.02), spread(0.2), spread(0.6), spread(1.0))
    return result


def by_name(result: Benchmark) -> dict[str, Target]:
    return {target.name: target for target in all_targets(result)}


def test_ratios_and_verdicts(full: Benchmark) -> None:
    verdicts = {name: (target.value, target.met) for name, target in by_name(full).items()}
    assert verdicts == {
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
    assert Target("", "x", 3.0, at_least=True, value=3.0).met
    assert Target("", "x", 3.0, at_least=True, value=2.99).met is False
    assert Target("", "x", 3.0, at_least=False, value=3.0).met
    assert Target("", "x", 3.0, at_least=False, value=3.01).met is False


def test_nothing_measured_meets_nothing(full: Benchmark) -> None:
    left_out = {part: f"--skip {part}" for part in Part}
    targets = all_targets(Benchmark(full.environment, 1, "", left_out))
    assert len(targets) == len(all_targets(full))
    assert {(target.value, target.met) for target in targets} == {(None, None)}
    assert all("--skip" in target.note for target in targets)
