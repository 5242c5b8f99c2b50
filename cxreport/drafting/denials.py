"""Denials: which tags a report denies, and which of them in one sentence.

A sentence such as "No pleural effusion or pneumothorax" denies a set of tags, and a remark that all is normal ("The
lungs are clear") a larger one. A set is denied only where each of its tags may be; otherwise smaller sets are left.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cxreport.types import Certainty, PlannedTopic

_Mask = NDArray[np.bool_]


def choose_denials(
    names: Sequence[str], sets: Sequence[Sequence[str]], absent: _Mask, unknown: _Mask, wanted: _Mask
) -> list[PlannedTopic]:
    """Choose sets that deny as much of what is wanted as can be, none of it twice.

    Args:
        names: of the R reporting tags.
        sets: that the decoder has sentences for, by names of tags, the most frequent first.
        absent: (R,) tags that may be denied.
        unknown: (R,) tags that there is no evidence of, which may be denied along with others: radiologists call the
            heart and the mediastinum normal in one breath.
        wanted: (R,) tags that a report is to deny.
    """
    index = {name: tag for tag, name in enumerate(names)}
    candidates = [tuple(sorted(index[name] for name in members)) for members in sets if set(members) <= index.keys()]
    candidates = [members for members in candidates if all(absent[t] or unknown[t] for t in members)]
    topics: list[PlannedTopic] = []
    denied = set[int]()

    def worth(members: tuple[int, ...]) -> int:
        return 0 if denied & set(members) else sum(bool(absent[t] and wanted[t]) for t in members)

    while best := max(candidates, key=worth, default=()):  # of equals the first, which is the most frequent
        if not worth(best):
            break
        topics.append(PlannedTopic(best, Certainty.ABSENT))
        denied |= set(best)
    return topics
