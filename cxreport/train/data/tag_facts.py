"""Statistics of the reporting tags in the train reports: places, denials, degrees, share of Impressions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cxreport.datasets.openi import OpeniReport
from cxreport.text import lexicon
from cxreport.train.data.sentence_pool import denial_sets
from cxreport.train.data.targets import TargetReport
from cxreport.train.data.tensors import DecoderData
from cxreport.types import Detail, Floats

_DENIALS = 40  # sentences that deny a tag and hardly anything else, for the decoder to have learned it
_SET_DENIALS = 20  # sentences that deny the same set of tags
_DEGREES = 10  # sentences that give a tag a degree, likewise
_IMPRESSION_SHARE = 0.4  # of its reports that repeat a tag in the Impression, from which it belongs there


@dataclass(frozen=True)
class TagFacts:
    """Fields of `manifest.ReportingTag`, (R,) each, and the sets of tags that sentences deny."""

    impression: tuple[bool, ...]
    deniable: tuple[bool, ...]
    places: tuple[float, ...]
    findings_denials: tuple[tuple[str, ...], ...] = ()
    """As `manifest.DecodingDefaults` has them."""
    impression_denials: tuple[tuple[str, ...], ...] = ()


def unplanned(vocabulary: tuple[str, ...]) -> dict[str, Any]:
    """Entries of the run file for a writer that has no reporting tags."""
    return {"reporting_tags": [], **asdict(TagFacts((), (), ())), "vocabulary": list(vocabulary), "evidence": {}}


def tag_facts(data: DecoderData, reports: Sequence[OpeniReport], denied: Collection[str]) -> TagFacts:
    """Facts from the train reports and their targets; deniable are those of ``denied`` that enough sentences deny."""
    places = _places(reports)
    return TagFacts(
        impression=tuple(impression_share(data.train, t) >= _IMPRESSION_SHARE for t in data.tags),
        deniable=tuple(t in denied and plain_denials(data.train, t) >= _DENIALS for t in data.tags),
        places=tuple(round(places.get(t, 1.0), 3) for t in data.tags),
        findings_denials=denial_sets(data, impression=False, least=_SET_DENIALS),
        impression_denials=denial_sets(data, impression=True, least=_SET_DENIALS),
    )


def _places(reports: Sequence[OpeniReport]) -> dict[str, float]:
    """Mean place of each tag in Findings, 0 at their start to 1 at their end."""
    places: defaultdict[str, list[float]] = defaultdict(list)
    for report in reports:
        sentences = lexicon.split_sentences(report.findings)
        for i, sentence in enumerate(sentences):
            for tag in lexicon.packaged().read_tags(sentence):
                places[tag].append((i + 0.5) / len(sentences))
    return {tag: float(np.mean(values)) for tag, values in places.items()}


def impression_share(targets: list[TargetReport], tag: str) -> float:
    """Share of the reports with both sections that affirm a tag in the Impression, among those that affirm it."""
    both = [t for t in targets if tag in t.tags and len({s.impression for s in t.sentences}) == 2]
    repeated = sum(any(s.impression and s.tag == tag for s in t.sentences) for t in both)
    return repeated / len(both) if both else 0.0


def plain_denials(targets: list[TargetReport], tag: str) -> int:
    """Number of sentences that deny a tag and at most one other."""
    return sum(tag in s.denied and len(s.denied) <= 2 for t in targets for s in t.sentences)


def degree_shares(data: DecoderData) -> Floats:
    """(R, 2): of the sentences that tell a tag, the share that calls it mild and no more, and marked; 0 for a few."""
    shares = np.zeros((len(data.tags), 2), np.float32)
    for r, tag in enumerate(data.tags):
        details = [s.details for t in data.train for s in t.sentences if s.tag == tag]
        mild = sum(Detail.MILD in d and Detail.MARKED not in d for d in details)
        marked = sum(Detail.MARKED in d for d in details)
        shares[r] = [n / len(details) if n >= _DEGREES else 0 for n in (mild, marked)]
    return shares
