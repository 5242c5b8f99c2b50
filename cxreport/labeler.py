"""Labels report text with CheXpert's 14 classes by the rules of the lexicon."""

from __future__ import annotations

from cxreport import lexicon

CLASSES: tuple[str, ...] = (
    "No Finding",
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
_VALUES: dict[lexicon.Status, int] = {"present": 1, "uncertain": -1, "absent": 0}


def label(text: str) -> dict[str, int]:
    """Label."""
    status = lexicon.read_classes(text)
    labels = {name: _VALUES[status.get(name, "absent")] for name in CLASSES}
    stated = {name for name, value in status.items() if value != "absent"}
    return labels | {"No Finding": int(stated <= {"Support Devices"})}
