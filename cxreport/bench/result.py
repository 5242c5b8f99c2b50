"""Result of a benchmark, and the same as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from cxreport.bench.decoding import DecodeTimes
from cxreport.bench.eager import EagerComparison
from cxreport.bench.environment import Environment
from cxreport.bench.growth.points import Growth
from cxreport.bench.kernels import KernelTimes
from cxreport.bench.peers import PeerTimes
from cxreport.bench.processes import PeakMemory, StartTimes
from cxreport.bench.spread import Times
from cxreport.bench.stages import StageTimes, Throughput
from cxreport.model.choices import BenchPart


@dataclass
class Benchmark:
    """Result of a benchmark; None, or empty, for parts that were not measured."""

    environment: Environment
    studies: int
    note: str
    """Description of the studies."""
    left_out: dict[BenchPart, str] = field(default_factory=dict)
    """Parts that were not measured, and why."""
    stages: StageTimes | None = None
    decoding: tuple[DecodeTimes, ...] = ()
    kernels: KernelTimes | None = None
    encoders: dict[str, Times] = field(default_factory=dict)
    """Precision -> times of the encoder on the CPU, per image."""
    wall: Throughput | None = None
    eager: EagerComparison | None = None
    peers: tuple[PeerTimes, ...] = ()
    growth: tuple[Growth, ...] = ()
    memory: tuple[PeakMemory, ...] = ()
    """Peaks of few studies, then of all; of all alone where there are few."""
    start: StartTimes | None = None


def to_json(value: Any) -> Any:
    """Turn dataclasses into what `json` writes: all repeats, and the properties that are computed from them."""
    if is_dataclass(value):
        properties = [name for name, kind in vars(type(value)).items() if isinstance(kind, property)]
        names = [*(f.name for f in fields(value)), *properties]
        return {name: to_json(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    return [to_json(item) for item in value] if isinstance(value, tuple) else value
