"""Bands: what the probability of a reporting tag is enough for, to state it, to call it possible, or to deny it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cxreport.model.manifest import EvidenceModel
from cxreport.types import Floats, OperatingPoint

EVEN = 0.5
"""Threshold of probabilities whose source is not named; a tag as likely as that is never denied."""
_FLAT, _ABSENT = 0.75, 0.1
"""Limits of the same, where the decoder words what is possible: three of four flat statements are right, if the
probabilities are."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Bands:
    """Reporting tags (R,) by what their probabilities are enough for; a tag in none of the masks is passed over."""

    told: Mask
    flat: Mask
    """Those of the told ones that are stated flatly."""
    absent: Mask
    """Those that may be denied."""
    unknown: Mask
    """Those that the source knows nothing of: denied only along with a tag that it knows."""

    def with_possible(self, tags: Mask) -> Bands:
        """These bands, with more tags told as possible."""
        return replace(self, told=self.told | tags, absent=self.absent & ~tags)


def evidence_bands(
    evidence: EvidenceModel,
    probabilities: Floats,
    threshold: float | None = None,
    point: OperatingPoint = OperatingPoint.BALANCED,
) -> Bands:
    """Bands of a source's probabilities, (R,) or of several studies (N, R)."""
    limits = evidence.limits
    least = evidence.thresholds
    if limits is not None and point is not OperatingPoint.BALANCED:
        least = limits.sensitive if point is OperatingPoint.SENSITIVE else limits.specific
    told = probabilities >= (least if threshold is None else threshold)
    known = np.broadcast_to(evidence.weights.any(1), told.shape)
    flat = told if limits is None else told & (probabilities >= limits.certain)
    absent = ~told & known if limits is None else ~told & known & (probabilities <= limits.absent)
    return Bands(told=told, flat=flat, absent=absent, unknown=~known & ~told)


def bands_as_given(own: Floats, named: Mask, exact: bool, threshold: float | None) -> Bands:
    """Bands of probabilities of unknown source; of a tag that is not named nothing is said.

    Args:
        own: (R,) probabilities of the reporting tags.
        named: (R,) tags that have one.
        exact: whether the decoder words what is possible.
        threshold: from which tags are told; None takes `EVEN`.
    """
    told = own >= (EVEN if threshold is None else threshold)
    absent = ~told & named & (own < (_ABSENT if exact else EVEN))
    flat = told & (own >= _FLAT) if exact else told
    return Bands(told=told, flat=flat, absent=absent, unknown=np.zeros_like(told))
