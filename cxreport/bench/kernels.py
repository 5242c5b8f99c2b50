"""Times of the bare networks in ONNX Runtime, on tensors that are ready: a run in which nothing else takes time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from cxreport.bench.spread import Times, measure
from cxreport.drafting.decode import decode
from cxreport.drafting.plan import HEAD, make_plan
from cxreport.model.encode import encode
from cxreport.model.input_recorder import Recording
from cxreport.model.session import Model
from cxreport.types import Pixels

ENCODER = "encode_batch"


@dataclass(frozen=True)
class KernelTimes:
    """Times of the networks on a study, in milliseconds."""

    precision: str
    steps: dict[str, Times]
    """Method of `Model` -> all its calls for a study."""

    @property
    def wall_ms(self) -> float:
        """Wall time of all steps, one after the other."""
        return sum(times.wall_ms.median for times in self.steps.values())

    @property
    def cpu_ms(self) -> float:
        """CPU time of all steps and threads."""
        return sum(times.cpu_ms.median for times in self.steps.values())


def measure_kernels(model: Model, images: Sequence[Pixels], batch_size: int, repeats: int) -> KernelTimes:
    """Draft once, record the inputs of the networks, and time the networks on these alone.

    Args:
        model: a loaded bundle.
        images: network inputs of studies.
        batch_size: studies that run together.
        repeats: of every measurement.
    """
    recording = Recording(model)
    for start in range(0, len(images), batch_size):
        encodings = encode(cast(Model, recording), list(images[start : start + batch_size]))
        plans = [make_plan(model.manifest, encoding, HEAD) for encoding in encodings]
        decode(cast(Model, recording), encodings, plans)
    share = 1 / len(images)
    return KernelTimes(
        model.manifest.precision,
        {step: measure(_replay(model, step, calls), repeats, share) for step, calls in recording.calls.items()},
    )


def measure_encoder(model: Model, images: Sequence[Pixels], repeats: int) -> Times:
    """Time the encoder alone, per image."""
    return measure(lambda: encode(model, list(images)), repeats, 1 / len(images))


def _replay(model: Model, step: str, calls: list[tuple[Any, ...]]) -> Callable[[], None]:
    run = getattr(model, step)

    def replay() -> None:
        for inputs in calls:
            run(*inputs)

    return replay
