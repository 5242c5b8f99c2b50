"""CheXpert's classes, read by rules. All sentences are made up for these tests."""

from __future__ import annotations

import pytest

from cxreport.text.labeler import CLASSES, label, label_tags

NONE = {"No Finding": 1}
ECM, HEART, OPACITY, LESION = "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion"
AIRSPACE, COLLAPSE, AIR, FLUID = "Consolidation", "Atelectasis", "Pneumothorax", "Pleural Effusion"
EDEMA, PNEUMONIA, PLEURA, BONE, DEVICE = "Edema", "Pneumonia", "Pleural Other", "Fracture", "Support Devices"

DENIED = [
    ("No focal consolidation, large effusion, or visible pneumothorax.", NONE),
    ("Negative for edema or pneumonia.", NONE),
    ("The lungs are free of consolidation and nodules.", NONE),
    ("Neither effusion nor pneumothorax is shown.", NONE),
    ("A pneumothorax is not demonstrated on this view.", NONE),
    ("The right effusion is no longer seen.", NONE),
    ("The left lower lobe pneumonia has completely resolved.", NONE),
    ("Interval resolution of the right effusion.", NONE),
    ("Resolved left pneumothorax.", NONE),
    ("The chest tube has been removed.", NONE),
    ("Interval removal of the endotracheal tube.", NONE),
    ("The heart is not enlarged.", NONE),
    ("No evidence to suggest pneumonia.", NONE),
    ("Rib fractures may not be demonstrated on this examination.", NONE),
    ("Pneumonia is considered unlikely.", NONE),
    ("Unlikely to represent edema.", NONE),
    ("Pneumothorax has been excluded.", NONE),
    ("Absence of pleural fluid on the decubitus film.", NONE),
    ("The lungs are clear and the heart size is normal.", NONE),
    ("Linear atelectasis rather than pneumonia.", {COLLAPSE: 1}),
    ("Mild cardiomegaly, no acute pulmonary disease.", {HEART: 1}),
    ("Mild cardiomegaly without edema, effusion or consolidation.", {HEART: 1}),
    ("No pneumothorax, but a small left effusion persists.", {FLUID: 1}),
    ("No pneumothorax with a small left effusion.", {FLUID: 1}),
    ("No consolidation and there is a moderate effusion.", {FLUID: 1}),
    ("No consolidation, there is a moderate effusion.", {FLUID: 1}),
    ("Apart from an old rib fracture, no abnormality.", {BONE: 1}),
    ("No abnormality except for a calcified nodule.", {LESION: 1}),
    ("No edema, stable cardiomegaly.", {HEART: 1}),
    ("Low volumes, otherwise no effusion or edema.", NONE),
]
NOT_DENIED = [
    ("No change in the right pneumothorax.", {AIR: 1}),
    ("No significant interval change of the left effusion.", {FLUID: 1}),
    ("The consolidation has not significantly improved.", {AIRSPACE: 1}),
    ("Without interval change in bibasilar atelectasis.", {COLLAPSE: 1}),
    ("Not only effusion is seen here.", {FLUID: 1}),
    ("The effusions have not changed.", {FLUID: 1}),
]
UNCERTAIN = [
    ("Pneumonia cannot be excluded.", {PNEUMONIA: -1}),
    ("Cannot exclude a small effusion.", {FLUID: -1}),
    ("A small pneumothorax is not entirely excluded.", {AIR: -1}),
    ("No pneumothorax, but a trace effusion cannot be excluded.", {FLUID: -1}),
    ("No pneumothorax, possible small effusion.", {FLUID: -1}),
    ("Edema is possible but less likely.", {EDEMA: -1}),
    ("Rib fracture is suspected.", {BONE: -1}),
    ("Question of a nodule in the left apex.", {LESION: -1}),
    ("Opacity which may represent pneumonia.", {OPACITY: 1, PNEUMONIA: -1}),
    ("Basilar opacity, concerning for early pneumonia.", {OPACITY: 1, PNEUMONIA: -1}),
    ("Cardiomegaly with possible mild edema.", {HEART: 1, EDEMA: -1}),
    ("Possible mild edema with cardiomegaly.", {HEART: 1, EDEMA: -1}),
    ("Left basilar atelectasis versus pneumonia.", {COLLAPSE: -1, PNEUMONIA: -1}),
    ("Retrocardiac opacity, atelectasis or pneumonia.", {OPACITY: 1, COLLAPSE: -1, PNEUMONIA: -1}),
    ("Opacity consistent with atelectasis or pneumonia.", {OPACITY: 1, COLLAPSE: -1, PNEUMONIA: -1}),
    ("Small effusion, atelectasis and/or consolidation.", {FLUID: 1, COLLAPSE: 1, AIRSPACE: 1}),
    ("The findings could be due to edema.", {EDEMA: -1}),
    ("Probable effusion; definite cardiomegaly.", {FLUID: -1, HEART: 1}),
    ("Heart failure.", {EDEMA: 1, HEART: -1}),
    ("No sign of heart failure.", NONE),
    ("Stable mediastinal contours.", {ECM: -1}),
]
COMPARED = [
    ("Increasing left effusion since the prior study.", {FLUID: 1}),
    ("Previously seen pneumothorax has resolved, but the effusion persists.", {FLUID: 1}),
    ("Decreased but persistent edema.", {EDEMA: 1}),
    ("Unchanged cardiomegaly; the edema has cleared.", {HEART: 1}),
    ("New consolidation compared with the previous radiograph.", {AIRSPACE: 1}),
    ("The effusion has resolved. A new effusion is seen on the left.", {FLUID: 1}),
    ("Improved aeration with residual atelectasis.", {COLLAPSE: 1}),
    ("No new consolidation.", NONE),
]
TERMS = [
    ("Pericardial effusion.", NONE),
    ("Soft tissue edema of the neck.", NONE),
    ("Nodular opacity in the left lung.", {LESION: 1}),
    ("Heart size at the upper limits of normal.", NONE),
    ("Borderline heart size.", {HEART: -1}),
    ("Right apical scarring.", {OPACITY: 1}),
    ("Diffuse pulmonary fibrosis.", {PLEURA: 1}),
    ("Biapical pleural thickening.", {PLEURA: 1}),
    ("Hemopneumothorax on the right.", {AIR: 1, FLUID: 1}),
    ("Blunting of the right costophrenic angle.", {FLUID: 1}),
    ("Bilateral hilar adenopathy.", {ECM: 1}),
    ("Widened mediastinum.", {ECM: 1}),
    ("The tip of the PICC line lies in the SVC.", {DEVICE: 1, **NONE}),
    ("Pacemaker leads in place, no pneumothorax.", {DEVICE: 1, **NONE}),
    ("Sternotomy wires and surgical clips.", NONE),
    ("Emphysema.", {}),
    ("Large hiatal hernia, clear lungs.", {}),
    ("Low lung volumes, no acute disease.", NONE),
    ("1. Old rib fractures. 2. No pneumothorax.", {BONE: 1}),
]


@pytest.mark.parametrize(("text", "expected"), [*DENIED, *NOT_DENIED, *UNCERTAIN, *COMPARED, *TERMS])
def test_label(text: str, expected: dict[str, int]) -> None:
    assert {name: value for name, value in label(text).items() if value} == expected


def test_every_class_is_told_in_order() -> None:
    labels = label("Cardiomegaly.")
    assert tuple(labels) == CLASSES
    assert len(CLASSES) == 14
    assert set(labels.values()) == {0, 1}


def test_the_most_affirmative_sentence_wins() -> None:
    assert label("No right effusion.\nPossible left effusion.")[FLUID] == -1
    assert label("Possible right effusion.\nLeft effusion.\nNo effusion elsewhere.")[FLUID] == 1


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        ("Pleural Effusion", "There is a pleural effusion."),
        ("Support Devices", "A pacemaker is seen."),
        ("Low Lung Volumes", "Low lung volumes."),
        ("Degenerative Change", "Degenerative changes of the spine."),
        ("Hernia", "Hiatal hernia."),
    ],
)
def test_tags_get_the_labels_of_a_text_that_states_them(tag: str, text: str) -> None:
    assert label_tags({tag}) == label(text)
    assert label_tags(()) == label("The lungs are clear.")
