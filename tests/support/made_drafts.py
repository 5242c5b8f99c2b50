"""Plans and network inputs for the tests of drafting."""

from __future__ import annotations

import numpy as np

from cxreport.model.manifest import Manifest
from cxreport.reading.network_input import network_input
from cxreport.types import Plan


def made_plan(manifest: Manifest, *tags: int) -> Plan:
    """A plan to state reporting tags, by their indices."""
    probabilities = np.full(len(manifest.reporting_tags), 0.125, np.float32)
    probabilities[list(tags)] = 0.75
    return Plan(probabilities=probabilities, unusual=np.zeros_like(probabilities), tags=tags)


def clouds(number: int, seed: int, channels: int = 1) -> list[np.ndarray]:
    """Smooth random network inputs, (32, 32) or (32, 32, 3)."""
    random = np.random.default_rng(seed)
    shape = (5, 5) if channels == 1 else (6, 6, 3)
    return [network_input(random.integers(0, 256, shape, np.uint8), 32, channels) for _ in range(number)]
