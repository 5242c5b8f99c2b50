"""Stopwatch of the stages of the pipeline."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Stopwatch:
    """Milliseconds by stage, added up."""

    timing_ms: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time that the body takes to stage ``name``."""
        start = time.perf_counter()
        yield
        self.timing_ms[name] = self.timing_ms.get(name, 0.0) + 1000 * (time.perf_counter() - start)
