"""The rules that read reporting tags off sentences. All sentences are made up for these tests."""

import tomllib

import pytest

from cxreport.datasets.nih import FINDINGS
from cxreport.errors import BundleError
from cxreport.text.labeler import CLASSES, label
from cxreport.text.lexicon import Lexicon, packaged, split_sentences

LEXICON = packaged()


@pytest.mark.parametrize(
    ("sentence", "tags"),
    [
        ("There is a small left pleural effusion.", {"Pleural Effusion"}),
        ("No pleural effusion or pneumothorax.", set()),
        ("Moderate cardiomegaly without edema.", {"Cardiomegaly"}),
        ("The heart is not enlarged.", set()),
        ("The cardiac silhouette is mildly enlarged.", {"Cardiomegaly"}),
        ("Heart size is normal, but there is bibasilar atelectasis.", {"Atelectasis"}),
        ("No focal consolidation; low lung volumes.", {"Low Lung Volumes"}),
        ("No change in the right pneumothorax.", {"Pneumothorax"}),
        ("The effusion has resolved.", set()),
        ("A nodule is not seen.", set()),
        ("Pneumonia cannot be excluded.", {"Pneumonia"}),
        ("Calcified granuloma in the right apex.", {"Granuloma"}),
        ("Lungs are clear.", set()),
        ("Degenerative changes of the thoracic spine.", {"Degenerative Change"}),
        ("Tortuous aorta.", {"Aortic Change"}),
        ("Flattened diaphragms suggest COPD.", {"Emphysema"}),
        ("Blunting of the left costophrenic angle.", {"Pleural Effusion"}),
        ("Sternotomy wires are intact.", {"Support Devices"}),
    ],
)
def test_affirmed(sentence, tags):
    assert LEXICON.affirmed(sentence) == tags


def test_status_is_told_apart():
    assert LEXICON.read_tags("No effusion. Possible pneumonia. Cardiomegaly.") == {
        "Pleural Effusion": "absent",
        "Pneumonia": "uncertain",
        "Cardiomegaly": "present",
    }


def test_the_most_affirmative_mention_wins():
    assert LEXICON.read_tags("No right effusion. Small left effusion.")["Pleural Effusion"] == "present"


LUNGS = {"Lung Opacity", "Consolidation", "Pneumonia", "Atelectasis", "Edema", "Lung Lesion", "Fibrosis"}
ACUTE = {"Lung Opacity", "Consolidation", "Pneumonia", "Edema", "Pneumothorax", "Pleural Effusion"}
HEART = {"Cardiomegaly", "Enlarged Cardiomediastinum"}


@pytest.mark.parametrize(
    ("sentence", "denied"),
    [
        ("The lungs are clear.", LUNGS),
        ("Heart size, mediastinal contours, and pulmonary vascularity are normal.", {*HEART, "Edema"}),
        ("Heart size, silhouette, and pulmonary vasculature are within normal limits.", {*HEART, "Edema"}),
        ("Enlarged heart, lungs are normal.", LUNGS),
        ("The heart is enlarged, and the mediastinum is normal.", {"Enlarged Cardiomediastinum"}),
        ("The heart is not significantly enlarged.", {"Cardiomegaly"}),
        ("The effusion is not significantly changed.", set()),
        ("Negative for acute disease.", ACUTE),
        ("Negative for acute bone abnormality.", set()),
        ("No acute osseous abnormality.", set()),
        ("The chest is normal.", ACUTE),
        ("Views of the chest show normal size of the aorta.", set()),
    ],
)
def test_what_a_sentence_denies(sentence, denied):
    assert {tag for tag, status in LEXICON.read_tags(sentence).items() if status == "absent"} == denied


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("There is a small left effusion.", {"left", "mild"}),
        ("Bibasilar atelectasis, unchanged.", {"left", "right", "lower", "prior"}),
        ("A large right apical pneumothorax.", {"right", "upper", "marked"}),
        ("Possible pneumonia in the middle lobe.", {"right", "uncertain"}),
        ("Degenerative changes of the spine.", set()),
        ("The heart is normal.", set()),
    ],
)
def test_details(sentence, expected):
    assert LEXICON.details(sentence) == expected


def test_sentences_lose_list_numbers_and_keep_decimals():
    text = "1. A 1.5 cm nodule is seen. 2. No effusion.\n3) Stable."
    assert split_sentences(text) == ["A 1.5 cm nodule is seen", "No effusion", "Stable"]


def test_tags_are_fixed_in_order():
    assert len(LEXICON.reporting_tags) == 20
    assert LEXICON.reporting_tags[0] == "Enlarged Cardiomediastinum"


def test_tables_name_tags_and_findings_that_exist():
    """A misspelled name would be without effect."""
    tables = tomllib.loads(LEXICON.toml.decode())
    tags = set(LEXICON.reporting_tags)
    assert tables["plain"].keys() <= tags
    assert tables["nih_findings"].keys() <= tags
    assert set(tables["no_finding"]["tags"]) <= tags
    assert {tag for phrase in tables["normal"] for tag in phrase["denies"]} <= tags
    assert set(CLASSES) == tables["classes"].keys() - {"Other Finding"} | {"No Finding"}
    assert {finding for findings in tables["nih_findings"].values() for finding in findings} == set(FINDINGS)


@pytest.mark.parametrize("tag", LEXICON.reporting_tags)
def test_every_tag_is_an_abnormality_or_none(tag):
    """In ``[classes]`` or ``[no_finding]``: else a text that states it would still say No Finding."""
    assert bool(label(LEXICON.plain_sentence(tag))["No Finding"]) == (tag in LEXICON.no_finding_tags)


@pytest.mark.parametrize("tag", LEXICON.reporting_tags)
def test_a_plain_sentence_states_its_tag_alone(tag):
    assert LEXICON.affirmed(LEXICON.plain_sentence(tag)) == {tag}
    labels = {name for name, value in label(LEXICON.plain_sentence(tag)).items() if value}
    assert labels <= {tag, "No Finding", "Pleural Other"}
    assert tag in labels or tag not in CLASSES


def test_drafting_does_not_compile_what_labels_alone_need() -> None:
    broken = Lexicon(LEXICON.toml + b'\n[classes."A"]\nsays = ["("]\n')
    assert broken.affirmed("There is a pneumothorax.") == {"Pneumothorax"}
    with pytest.raises(BundleError, match="not a lexicon"):
        broken.read_classes("There is a pneumothorax.")
