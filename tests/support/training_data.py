"""Generated data in the layouts of NIH ChestX-ray14 and Open-I, small enough to train on in a test.

An "effusion" is a bright lower corner and an enlarged "heart" a wide bright middle; the reports say so in sentences
made up for this file. The lateral views are mere noise.
"""

import csv
import json
from pathlib import Path

import numpy as np
from PIL import Image

from cxreport.datasets.nih import FINDINGS

LATERALS = 3
_SENTENCES = {
    "Effusion": ("There is a pleural effusion.", "Small pleural effusion.", "Pleural Effusion/left"),
    "Cardiomegaly": ("The heart is enlarged.", "Cardiomegaly.", "Cardiomegaly/mild"),
}
_FREE = ("The trachea is midline.", "No pneumothorax is seen.", "The bones are intact.")


def draw(labels: set[str], rng: np.random.Generator, size: int) -> np.ndarray:
    """A grey picture of noise with the marks of its labels."""
    picture = rng.normal(90, 12, (size, size))
    if "Effusion" in labels:
        picture[-size // 3 :, : size // 2] += 110
    if "Cardiomegaly" in labels:
        picture[size // 3 : -size // 3, size // 4 : -size // 4] += 90
    return picture.clip(0, 255).astype(np.uint8)


def _labels(i: int) -> set[str]:
    return {f for bit, f in enumerate(_SENTENCES) if i >> bit & 1}


def make_nih(folder: Path, images: int = 160, val: int = 60, size: int = 64) -> Path:
    """Images, table and list files."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(1)
    names = [f"{i:08d}_000.png" for i in range(images + val)]
    with (folder / "Data_Entry_2017.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["Image Index", "Finding Labels", "Patient ID"])
        for i, name in enumerate(names):
            Image.fromarray(draw(_labels(i), rng, size)).save(folder / "images" / name)
            writer.writerow([name, "|".join(sorted(_labels(i))) or "No Finding", i])
    (folder / "train_list.txt").write_text("\n".join(names[:images]))
    (folder / "val_list.txt").write_text("\n".join(names[images:]))
    return folder


def make_openi(folder: Path, reports: int = 200, size: int = 64) -> Path:
    """Reports as XML, their pictures, a split and a classifier's probabilities."""
    (folder / "ecgen-radiology").mkdir(parents=True)
    (folder / "images").mkdir()
    rng = np.random.default_rng(2)
    rows = []
    for uid in range(1, reports + 1):
        labels = _labels(uid)
        findings = [_SENTENCES[f][0] for f in sorted(labels)] + [str(rng.choice(_FREE)), "The lungs are expanded."]
        impression = [_SENTENCES[f][1] for f in sorted(labels)] or ["No acute disease."]
        mesh = [_SENTENCES[f][2] for f in sorted(labels)] or ["normal"]
        name = f"CXR{uid}_IM-0001-1001"
        _write_xml(folder / "ecgen-radiology" / f"{uid}.xml", uid, findings, impression, mesh, name)
        Image.fromarray(draw(labels, rng, size)).save(folder / "images" / f"{name}.png")
        scores = [float(rng.uniform(0.6, 0.9) if f in labels else rng.uniform(0.05, 0.4)) for f in FINDINGS]
        rows.append([uid, f"{name.removeprefix('CXR')}.dcm.png", "Frontal", *scores])
        if uid <= LATERALS:
            noise = np.random.default_rng(uid).integers(0, 256, (size, size), np.uint8)
            Image.fromarray(noise).save(folder / "images" / f"{name}-L.png")
            rows.append([uid, f"{name.removeprefix('CXR')}-L.dcm.png", "Lateral", *scores])
    with (folder / "chexnet_predictions.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["uid", "filename", "projection", *FINDINGS])
        writer.writerows(rows)
    (folder / "r2gen_split.json").write_text(json.dumps({"val": list(range(10, reports + 1, 5))}))
    return folder


def _write_xml(path: Path, uid: int, findings: list[str], impression: list[str], mesh: list[str], image: str) -> None:
    headings = "".join(f"<major>{m}</major>" for m in mesh)
    path.write_text(
        f'<eCitation><uId id="CXR{uid}"/><AbstractText Label="FINDINGS">{" ".join(findings)}</AbstractText>'
        f'<AbstractText Label="IMPRESSION">{" ".join(impression)}</AbstractText>'
        f'<MeSH>{headings}</MeSH><parentImage id="{image}"/></eCitation>'
    )


RECIPE = """
name = "smoke"
version = "0.0.1"
pairing = "{pairing}"
seed = 7
[data]
nih = ["nih"]
openi = "openi"
mesh_least = 1
[encoder]
size = {size}
batch = 8
lr = 1e-3
lr_low = 1e-3
lr_head = 1e-2
weight_decay = 0.0
warmup = 5
ema = 0.9
width = 0.0625
[[encoder.phases]]
size = {size}
images = {images}
small = false
mixup = 0.2
[decoder]
plan = "{plan}"
top_tags = 4
epochs = {epochs}
image_epochs = 1
images = 100
batch = 16
lr = 5e-3
weight_decay = 0.0
label_smoothing = 0.0
tag_dropout = 0.0
tag_noise = 0.0
visual_dropout = 0.3
max_words = 20
min_word_count = 1
denied = ["Pneumothorax"]
consensus_epochs = 3
hidden = 48
word_dim = 24
attention = 16
"""


CAPTIONER = """
[captioner]
epochs = 3
batch = 16
lr = 1e-2
min_word_count = 1
max_words = 40
tag_count = 5
hidden = 32
word_dim = 16
attention = 8
"""
JOINT = """
[joint]
epochs = 2
batch = 32
images = 100
embedding = 16
word_dim = 8
hidden = 8
patch_hidden = 4
"""
SHAPES = """
name = "shapes"
version = "0.0.1"
pairing = "captions"
seed = 7
architecture = "soft-attention"
[data]
coco = "."
[encoder]
size = 32
batch = 16
lr = 1e-3
lr_low = 1e-3
lr_head = 1e-2
weight_decay = 0.0
warmup = 5
ema = 0.9
flip = false
width = 0.0625
[[encoder.phases]]
size = 32
images = 120
small = false
"""


def write_recipe(
    path: Path,
    pairing: str,
    plan: str = "tags",
    size: int = 64,
    images: int = 1600,
    epochs: int = 20,
    extra: str = "",
) -> Path:
    """A recipe for the generated data, with ``extra`` tables behind the others."""
    path.write_text(RECIPE.format(pairing=pairing, plan=plan, size=size, images=images, epochs=epochs) + extra)
    return path
