"""Tables of a teacher's outputs: formats, gaps, blends."""

import gzip

import numpy as np
import pytest

from cxreport.datasets.teacher import TeacherOutputs, fill_by_labels, read_teacher, soft_labels
from cxreport.errors import TrainingError

LABELS = ("Edema", "Mass")
TABLE = "Image Index,sources,logit_Edema,probability_Mass,re_Mass\na.png,gj,-2.5,0.25,1\nb.png,,,,\n"


def test_logits_and_probabilities_of_images_in_the_order_asked_for(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(TABLE)
    outputs = read_teacher([path], ["b.png", "missing.png", "a.png"], LABELS)
    np.testing.assert_allclose(outputs.logits[2], [-2.5, np.log(1 / 3)], rtol=1e-6)
    assert np.isnan(outputs.logits[:2]).all()
    assert outputs.relabels[2, 1] == 1
    assert np.isnan(outputs.relabels).sum() == 5


def test_gzipped_tables_and_later_tables_first(tmp_path):
    first, second = tmp_path / "1.csv.gz", tmp_path / "2.csv"
    first.write_bytes(gzip.compress(TABLE.encode()))
    second.write_text(TABLE.replace("-2.5", "4"))
    assert read_teacher([first, second], ["a.png"], LABELS).logits[0, 0] == 4


def test_probabilities_of_0_and_1_have_finite_logits(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("Image Index,probability_Edema,probability_Mass\na,0,1\n")
    logits = read_teacher([path], ["a"], LABELS).logits[0]
    assert np.isfinite(logits).all()
    assert logits[0] == pytest.approx(-logits[1], rel=1e-3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (TABLE.replace("probability_Mass", "Mass"), "no column 'logit_Mass'"),
        (TABLE.replace("Image Index", "image"), "no column 'Image Index'"),
        (TABLE.replace("0.25", "1.25"), "probability_Mass is 1.25"),
        (TABLE.replace("-2.5", "high"), "not a table"),
        (TABLE.replace("-2.5", "inf"), "not a table"),
        ("a.png\n", "no column 'Image Index'"),
        ("", "no column 'Image Index'"),
        ("Image Index,logit_Edema,logit_Mass\na.png\n", "not a table|nothing"),
    ],
)
def test_tables_that_are_none(tmp_path, content, message):
    path = tmp_path / "table.csv"
    path.write_text(content)
    if message.endswith("nothing"):  # a short row has no outputs
        assert np.isnan(read_teacher([path], ["a.png"], LABELS).logits).all()
        return
    with pytest.raises(TrainingError, match=message):
        read_teacher([path], ["a.png"], LABELS)


def test_a_damaged_gzip_file_is_told(tmp_path):
    path = tmp_path / "table.csv.gz"
    path.write_bytes(gzip.compress(TABLE.encode())[:-6])
    with pytest.raises(TrainingError, match="not a table"):
        read_teacher([path], ["a.png"], LABELS)


def test_gaps_are_filled_by_images_of_the_same_label_and_relabel():
    nan = np.nan
    logits = np.array([[1.0], [3.0], [-4.0], [7.0], [nan], [nan], [nan], [nan]], np.float32)
    labels = np.array([[1], [1], [0], [1], [1], [0], [1], [0]], np.float32)
    relabels = np.array([[nan], [nan], [0], [1], [nan], [0], [1], [1]], np.float32)
    filled = fill_by_labels(TeacherOutputs(logits, relabels), labels)
    np.testing.assert_allclose(filled[4:, 0], [2, -4, 7, -4])  # the last one's pair has no output: its label alone
    np.testing.assert_array_equal(filled[:4], logits[:4])


def test_a_label_without_any_output_is_an_error():
    unknown = np.full((2, 1), np.nan, np.float32)
    with pytest.raises(TrainingError, match="no output"):
        fill_by_labels(TeacherOutputs(unknown, unknown), np.zeros((2, 1), np.float32))


def test_labels_relabels_and_probabilities_are_blended():
    outputs = TeacherOutputs(np.array([[0.0, 0.0]], np.float32), np.array([[1.0, np.nan]], np.float32))
    labels = np.array([[0.0, 1.0]], np.float32)
    np.testing.assert_allclose(soft_labels(labels, outputs, 0.7, 0.0), [[0.35, 0.65]], rtol=1e-6)
    np.testing.assert_allclose(soft_labels(labels, outputs, 0.7, 0.5), [[0.5, 0.65]], rtol=1e-6)


def test_damage_inside_a_gzip_file_is_told(tmp_path):
    path, content = tmp_path / "table.csv.gz", bytearray(gzip.compress(TABLE.encode()))
    content[12:20] = b"\xff" * 8
    path.write_bytes(content)
    with pytest.raises(TrainingError, match="not a table"):
        read_teacher([path], ["a.png"], LABELS)
