"""Plans and network inputs for the tests of drafting."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from cxreport.model.manifest import Manifest
from cxreport.reading.network_input import network_input
from cxreport.types import Certainty, Detail, Plan, PlannedTopic


def made_plan(
    manifest: Manifest,
    *tags: int,
    denied: Sequence[int] = (),
    details: Mapping[int, Collection[Detail]] = MappingProxyType({}),
) -> Plan:
    """A plan to state reporting tags, by their indices, with details, and to deny others one by one."""
    probabilities = np.full(len(manifest.reporting_tags), 0.125, np.float32)
    probabilities[list(tags)] = 0.75
    findings = tuple(PlannedTopic((tag,), details=frozenset(details.get(tag, ()))) for tag in tags)
    return Plan(
        probabilities=probabilities,
        unusual=np.zeros_like(probabilities),
        findings=(*findings, *(PlannedTopic((tag,), Certainty.ABSENT) for tag in denied)),
        impression=tuple(topic for topic in findings if manifest.reporting_tags[topic.tags[0]].impression),
        deniable=frozenset(range(len(probabilities))) - set(tags),
    )


def clouds(number: int, seed: int, channels: int = 1) -> list[np.ndarray]:
    """Smooth random network inputs, (32, 32) or (32, 32, 3)."""
    random = np.random.default_rng(seed)
    shape = (5, 5) if channels == 1 else (6, 6, 3)
    return [network_input(random.integers(0, 256, shape, np.uint8), 32, channels) for _ in range(number)]
