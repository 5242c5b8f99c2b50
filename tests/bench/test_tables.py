from __future__ import annotations

import io

import pytest
from rich.console import Console

from cxreport.bench.environment import Environment
from cxreport.bench.kernels import KernelTimes
from cxreport.bench.result import Benchmark
from cxreport.bench.spread import Spread, Times
from cxreport.bench.tables import render


def times(milliseconds: float) -> Times:
    return Times(Spread((milliseconds,)), Spread((milliseconds,)))


@pytest.mark.parametrize(
    ("encoders", "told"),
    [
        ({"float32": 60.0, "int8": 61.0}, True),
        ({"float32": 60.0, "int8": 60.0}, True),
        ({"float32": 60.0, "int8": 17.0}, False),
        ({"float32": 60.0}, False),
        ({}, False),
    ],
    ids=str,
)
def test_a_precision_that_does_not_pay_is_told(encoders: dict[str, float], told: bool) -> None:
    """`auto` takes int8 by what the CPU is, and never looks at a clock."""
    environment = Environment("Linux", "CPU", 2, 2, "3.11", {}, "cpu", "int8", 2, "tiny 0")
    result = Benchmark(environment, 10, "Generated.")
    result.kernels = KernelTimes("int8", {"encode_batch": times(10)})
    result.encoders = {precision: times(milliseconds) for precision, milliseconds in encoders.items()}
    text = io.StringIO()
    Console(file=text, width=100).print(render(result))
    assert ("int8 is no faster than float32 on this CPU: take --precision float32." in text.getvalue()) is told
