"""NIH ChestX-ray14: splits and labels."""

import pytest
from PIL import Image
from training_data import make_nih

from cxreport.datasets import nih


def test_nih_split_and_labels(tmp_path):
    folder = make_nih(tmp_path / "nih", images=6, val=3)
    train, val = nih.read_split(folder, "train", 32), nih.read_split(folder, "val", 32)
    assert (len(train), len(val)) == (6, 3)
    assert train.pixels.shape == (6, 32, 32)
    assert train.labels[3].sum() == 2
    assert not set(train.names) & set(val.names)


def test_a_part_of_the_collection_with_its_own_table_and_jpeg_copies(tmp_path):
    folder = make_nih(tmp_path / "nih", images=4, val=0)
    (folder / "Data_Entry_2017.csv").rename(folder / "images.csv")
    (folder / "train_list.txt").unlink()
    for path in (folder / "images").iterdir():
        with Image.open(path) as image:
            image.convert("RGB").save(path.with_suffix(".jpg"), quality=90)
        path.unlink()
    train = nih.read_split(folder, "train", 32)
    assert len(train) == 4
    assert all(name.endswith(".png") for name in train.names)  # by which a teacher's tables know them
    assert train.labels[3].sum() == 2
    assert train.pixels[1].mean() > train.pixels[0].mean()


def test_a_folder_without_a_table_is_told_by_the_official_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Data_Entry_2017\.csv"):
        nih.read_labels(tmp_path)
