"""Labeler of report text: the 14 classes of CheXpert (Irvin et al. 2019), by the rules of the package's lexicon."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from cxreport.sentences import Assertion
from cxreport.text.lexicon import Status, packaged
from cxreport.text.sections import Kind, read_sections

__all__ = ["CLASSES", "label", "label_statements", "label_tags"]

_NO_FINDING = "No Finding"
CLASSES: tuple[str, ...] = (
    _NO_FINDING,
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)
_READ: tuple[Kind, ...] = ("body", "addendum")
_VALUES: dict[Status, int] = {"present": 1, "uncertain": -1, "absent": 0}
_ASSERTED = {Assertion.PRESENT: 1, Assertion.POSSIBLE: -1, Assertion.ABSENT: 0}


def label(text: str) -> dict[str, int]:
    """Label a report, or a section of one.

    Lines may be wrapped or itemised. Of a whole report, History, Indication, Comparison, Technique and the like say
    nothing, as they tell what was known or asked; what an addendum says of a class replaces what the report said.

    The classes and their meaning are CheXpert's. The rules were written to agree with CheXbert (Smit et al. 2020) and
    are not that model. No Finding is 1 where the text states nothing but support devices; an abnormality without a
    class of its own, such as emphysema, counts as stated.

    Args:
        text: in English.

    Returns:
        Each of `CLASSES`, in that order -> 1 stated, -1 uncertain, 0 denied or not mentioned.
    """
    rules = packaged()
    statuses: dict[str, Status] = {}
    sections = read_sections(text)
    for kind in _READ:  # what an addendum says of a class stands in place of what the report said
        statuses |= rules.read_classes("\n\n".join(section.text for section in sections if section.kind == kind))
    abnormal = {name for name, status in statuses.items() if status != "absent"} - rules.no_finding_tags
    labels = {name: _VALUES[statuses.get(name, "absent")] for name in CLASSES}
    return labels | {_NO_FINDING: int(not abnormal)}


def label_tags(tags: Collection[str]) -> dict[str, int]:
    """Labels of a text that states these reporting tags and nothing else, as `label` has them."""
    return label_statements(dict.fromkeys(tags, Assertion.PRESENT))


def label_statements(statements: Mapping[str, Assertion]) -> dict[str, int]:
    """Labels of what is known of reporting tags, as `label` has them.

    A class is the tag of its name: CheXpert's conventions on single words, as that scarring is a Lung Opacity, do not
    enter.
    """
    abnormal = {tag for tag, assertion in statements.items() if assertion.affirms} - packaged().no_finding_tags
    labels = {name: _ASSERTED[statements.get(name, Assertion.ABSENT)] for name in CLASSES}
    return labels | {_NO_FINDING: int(not abnormal)}
