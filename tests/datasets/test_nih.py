"""NIH ChestX-ray14: splits and labels."""

from training_data import make_nih

from cxreport.datasets import nih


def test_nih_split_and_labels(tmp_path):
    folder = make_nih(tmp_path / "nih", images=6, val=3)
    train, val = nih.read_split(folder, "train", 32), nih.read_split(folder, "val", 32)
    assert (len(train), len(val)) == (6, 3)
    assert train.pixels.shape == (6, 32, 32)
    assert train.labels[3].sum() == 2
    assert not set(train.names) & set(val.names)
