from __future__ import annotations

import csv
from pathlib import Path

import pytest
from boxed_images import FLUID, HEADER, HEART, SIZE
from training_data import make_nih


@pytest.fixture(scope="module")
def nih(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_nih(tmp_path_factory.mktemp("nih") / "nih", images=12, val=28, size=SIZE)


@pytest.fixture(scope="module")
def box_file(nih: Path) -> Path:
    """A box around each effusion and each enlarged heart, where `training_data` draws them."""
    path = nih.parent / "boxes.csv"
    rows = csv.DictReader((nih / "Data_Entry_2017.csv").read_text().splitlines())
    drawn = {FLUID: "0,683,512,341", HEART: "256,341,512,341"}
    boxes = [
        f"{row['Image Index']},{finding},{drawn[finding]}"
        for row in rows
        for finding in row["Finding Labels"].split("|")
        if finding in drawn
    ]
    path.write_text("\n".join([HEADER, *boxes, "99999999_000.png,Effusion,1,1,9,9"]))
    return path
