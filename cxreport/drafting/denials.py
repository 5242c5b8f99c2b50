"""Denials: which tags a report denies, and which of them in one sentence.

A sentence such as "No pleural effusion or pneumothorax" denies a set of tags, and a remark that all is normal ("The
lungs are clear") a larger one. A set is denied only where each of its tags may be; otherwise smaller sets are left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from cxreport.types import Certainty, PlannedTopic

_Mask = NDArray[np.bool_]
_LEAST_WORTH = 2


def widest_denial(
    names: Sequence[str],
    sets: Sequence[Sequence[str]],
    absent: _Mask,
    unknown: _Mask,
    wanted: _Mask,
    urgency: Sequence[str],
) -> list[PlannedTopic]:
    """Choose the set that denies the most of what is wanted, as an Impression has one.

    Of sets as wide, the one that denies what is most urgent, and then the most frequent one, is taken. One that denies
    a single tag, or leaves the most urgent one out, sums nothing up: then there is none.

    Args:
        names: of the R reporting tags.
        sets: that the decoder has sentences for, by names of tags, the most frequent first.
        absent: (R,) tags that may be denied.
        unknown: (R,) tags that there is no evidence of, which may be denied along with others.
        wanted: (R,) tags that a report is to deny.
        urgency: names of tags, the most urgent first.
    """
    ranks = {name: rank for rank, name in enumerate(urgency)}

    def rank(tags: Iterable[int]) -> int:
        """Rank of the most urgent of some tags."""
        return min((ranks.get(names[tag], len(ranks)) for tag in tags), default=len(ranks))

    def merit(members: tuple[int, ...]) -> tuple[int, int]:
        return _worth(members, absent, wanted), -rank(members)

    widest = max(_candidates(names, sets, absent, unknown), key=merit, default=())
    is_wide = _worth(widest, absent, wanted) >= _LEAST_WORTH and rank(widest) <= rank(map(int, np.flatnonzero(wanted)))
    return [PlannedTopic(widest, Certainty.ABSENT)] if is_wide else []


def choose_denials(
    names: Sequence[str], sets: Sequence[Sequence[str]], absent: _Mask, unknown: _Mask, wanted: _Mask
) -> list[PlannedTopic]:
    """Choose sets that together deny all of what is wanted that can be, none of it twice, as radiologists mostly do.

    They deny the heart, the pleura and the lungs in a sentence each more often than all in one, so the most frequent
    sets come first, and a rarer one takes what they leave.

    Args:
        names: of the R reporting tags.
        sets: that the decoder has sentences for, by names of tags, the most frequent first.
        absent: (R,) tags that may be denied.
        unknown: (R,) tags that there is no evidence of, which may be denied along with others: radiologists call the
            heart and the mediastinum normal in one breath.
        wanted: (R,) tags that a report is to deny.
    """
    topics: list[PlannedTopic] = []
    denied = set[int]()
    for members in _candidates(names, sets, absent, unknown):
        if _worth(members, absent, wanted) and not denied & set(members):
            topics.append(PlannedTopic(members, Certainty.ABSENT))
            denied |= set(members)
    return topics


def _candidates(
    names: Sequence[str], sets: Sequence[Sequence[str]], absent: _Mask, unknown: _Mask
) -> list[tuple[int, ...]]:
    """Sets, as indices, each tag of which may be denied."""
    index = {name: tag for tag, name in enumerate(names)}
    known = [tuple(sorted(index[name] for name in members)) for members in sets if set(members) <= index.keys()]
    return [members for members in known if all(absent[tag] or unknown[tag] for tag in members)]


def _worth(members: tuple[int, ...], absent: _Mask, wanted: _Mask) -> int:
    """Number of tags of a set that a report is to deny."""
    return sum(bool(absent[tag] and wanted[tag]) for tag in members)
