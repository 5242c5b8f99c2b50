"""Labels report text with the 14 classes of CheXbert (Smit et al. 2020), by the rules of the lexicon."""

from __future__ import annotations

from cxreport import lexicon

CLASSES = (
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
    """Class -> 1 positive, -1 uncertain, 0 negative or not mentioned, in the order of `CLASSES`.

    "No Finding" is 1 where the text affirms no reporting tag but Support Devices.
    """
    found = lexicon.read_tags(text)
    labels = {name: _VALUES[found.get(name, "absent")] for name in CLASSES}
    labels["No Finding"] = int(not lexicon.affirmed(text) - {"Support Devices"})
    return labels
