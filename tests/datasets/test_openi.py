"""Open-I: reports, images, MeSH headings and the split."""

import pytest
from training_data import make_openi

from cxreport.datasets import openi
from cxreport.errors import TrainingError


def test_openi_reports(tmp_path):
    folder = make_openi(tmp_path / "openi", reports=12)
    reports = openi.read_reports(folder)
    train, val = openi.split_reports(reports, folder)
    assert [r.uid for r in val] == [10]
    assert len(train) == 11
    assert reports[2].mesh == ("Cardiomegaly", "Pleural Effusion")
    assert [p.name for p in openi.image_files(reports[0], folder)] == ["CXR1_IM-0001-1001.png"]
    assert openi.mesh_tags(reports, 2) == ("Cardiomegaly", "Pleural Effusion")


def test_a_folder_without_reports_is_an_error(tmp_path):
    with pytest.raises(TrainingError, match="ecgen-radiology"):
        openi.read_reports(tmp_path)
