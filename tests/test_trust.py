"""What holds of every run: no patient data in any output, no network, the same records by any way of reading."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from command_line import timeless
from dicom_factory import make_dataset, phantom, save
from places import ROOT
from pydicom.datadict import DicomDictionary, keyword_for_tag
from pydicom.dataset import Dataset

MARK = re.compile(r"MARK[0-9]{4}|8877660[0-9]+|887766\.03|887Y", re.I)
_MARKED_VRS = {
    **dict.fromkeys(("LO", "SH", "PN", "LT", "ST", "UT", "AE", "UC", "UR"), "MARK{}"),
    **{"UI": "1.2.826.88776609{}", "DA": "88776602", "TM": "887766.03{}", "DT": "8877660401.{}", "AS": "887Y"},
}
"""Value representations that may identify a person -> a value that no output has by chance."""
_READ = ("Modality", "BodyPartExamined", "PhotometricInterpretation", "ViewPosition", "SOPClassUID")
"""Attributes with terms that reading depends on; they are marked one at a time."""


# Privacy


def marked(number: int, **changes: object) -> Dataset:
    """An image whose texts, dates, times and UIDs all are marked: also in sequences, private tags, and an overlay."""
    dataset = make_dataset(phantom())
    marks = iter(range(1000 * (number % 10), 10_000))
    every = sorted(tag for tag, entry in DicomDictionary.items() if entry[0] in _MARKED_VRS and tag >> 16 in RANGE)
    for tag in every[number::12]:
        if keyword_for_tag(tag) not in _READ:
            representation = DicomDictionary[tag][0]
            dataset.add_new(tag, representation, _MARKED_VRS[representation].format(next(marks)))
    dataset.PatientName, dataset.PatientID = f"MARK{next(marks)}^MARK{next(marks)}", f"MARK{next(marks)}"
    dataset.PatientBirthDate, dataset.StudyDate = "88776601", "88776602"
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(dataset, keyword, f"1.2.826.8877660{number}.{next(marks)}")
    item = Dataset()
    item.PatientName, item.CodeMeaning, item.CodeValue = f"MARK{next(marks)}", f"MARK{next(marks)}", "MARK0001"
    dataset.ViewCodeSequence = [item]
    dataset.ReferencedStudySequence = [item]
    block = dataset.private_block(0x0029, "MARK0002", create=True)
    block.add_new(1, "LO", f"MARK{next(marks)}")
    dataset.add_new(0x60000022, "LO", f"MARK{next(marks)}")
    dataset.add_new(0x60001500, "LO", f"MARK{next(marks)}")
    for element, representation, value in (("10", "US", 16), ("11", "US", 8), ("50", "SS", [1, 1])):
        dataset.add_new(int(f"600000{element}", 16), representation, value)
    dataset.add_new(0x60003000, "OW", b"MARK00088877660" + bytes(1))
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    return dataset


RANGE = {0x0008, 0x0010, 0x0018, 0x0020, 0x0028, 0x0032, 0x0038, 0x0040, 0x0054, 0x0088, 0x4000, 0x4008}
CHANGES = {
    "sound": {},
    "modality": {"Modality": "MARK0003"},
    "body part": {"BodyPartExamined": "MARK0004"},
    "photometric": {"PhotometricInterpretation": "MARK0005"},
    "view": {"ViewPosition": "MARK0006"},
    "class": {"SOPClassUID": "1.2.826.88776605"},
    "rows": {"Rows": 4000},
    "no rows": {"Rows": None},
    "window": {"WindowCenter": "1e999", "WindowWidth": "-1"},
    "bits": {"BitsStored": 99},
    "frames": {"NumberOfFrames": "99"},
    "samples": {"SamplesPerPixel": 7},
    "padding": {"PixelPaddingValue": 3},
}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Marked files: sound ones, and such with each kind of damage, whose errors might quote what they hold."""
    folder = tmp_path / "archive"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number, (name, changes) in enumerate(CHANGES.items()):
            path = save(marked(number, **changes), folder / f"{name}.dcm")
            for share in (0.2, 0.5, 0.9):
                content = path.read_bytes()
                path.with_name(f"{name} {share}.dcm").write_bytes(content[: int(len(content) * share)])
    for syntax in (b"1.2.840.10008.1.2.4.50\0", b"1.2.840.10008.1.2.5\0\0\0\0", b"MARK0007MARK0007MAR\0"):
        content = (folder / "sound.dcm").read_bytes()
        name = f"syntax {len(list(folder.iterdir()))}.dcm"
        (folder / name).write_bytes(content.replace(b"1.2.840.10008.1.2.1\0", syntax[:20]))
    return folder


def texts(folder: Path) -> Iterator[tuple[str, str]]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.name, path.read_bytes().decode("latin-1")


@pytest.mark.slow
def test_no_header_value_is_in_any_output(
    run_cli: Callable,
    tiny_bundle: Path,
    archive: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Outputs in all formats, messages, tracebacks of --verbose, an index, a page, caches, the configuration."""
    home = tmp_path / "home"
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "HOME", "TMPDIR"):
        (home / name).mkdir(parents=True)
        monkeypatch.setenv(name, str(home / name))
    strict = ("--model", tiny_bundle, "--device", "cpu", "--verbose")
    model = (*strict, "--force")
    runs = [
        *(["generate", *model, "--format", name, archive] for name in ("text", "json", "jsonl")),
        *(["generate", *strict, "--json", "--workers", workers, archive] for workers in (0, 1)),
        ["generate", *model, "--json", "--workers", 0, archive],
        ["generate", *model, "--group-by", "folder", "--max-megapixels", 0.001, archive],
        ["generate", *model, "--json", "--out", f"{home}/reports/", archive],
        ["index", "build", *model, archive, "-o", home / "x.index"],
        ["index", "info", home / "x.index", "--json"],
        ["retrieve", home / "x.index", *model, "--image", archive / "sound.dcm", "--json"],
        ["explain", *model, "--out", home / "page", archive / "sound.dcm"],
        ["explain", *model, archive / "modality.dcm"],
    ]
    output = [run_cli(*arguments) for arguments in runs]
    assert {result.exit_code for result in output} <= {0, 3, 6}
    assert output[2].stdout.count("\n") > 20
    streams = [(str(run), done.stdout + done.stderr) for run, done in zip(runs, output, strict=True)]
    streams.append(("processes", "".join(capfd.readouterr())))
    assert not [(run, MARK.findall(text)[:3]) for run, text in streams if MARK.search(text)]
    assert not {name: MARK.findall(text)[:3] for name, text in texts(home) if MARK.search(text)}
    assert sum(len(MARK.findall(text)) for _, text in texts(archive)) > 1000


# Network


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_no_network_call(tiny_bundle: Path, phantoms: Path, tmp_path: Path) -> None:
    log = tmp_path / "calls"
    tracer = ["strace", "-f", "-e", "trace=%network", "-o", str(log)]
    if subprocess.run([*tracer, "true"], capture_output=True, check=False).returncode:
        pytest.skip("strace may not trace here")
    command = [sys.executable, "-m", "cxreport", "generate", "--json", "--force", "--model", str(tiny_bundle)]
    done = subprocess.run([*tracer, *command, str(phantoms)], capture_output=True, check=False, cwd=ROOT, timeout=250)
    assert done.returncode == 0, done.stderr
    assert not [line for line in log.read_text().splitlines() if "AF_INET" in line]
    probe = "import socket; socket.socket().connect_ex(('127.0.0.1', 9))"
    subprocess.run([*tracer, sys.executable, "-c", probe], check=False, timeout=60)
    assert "AF_INET" in log.read_text()


# Determinism


@pytest.mark.slow
def test_the_same_records_by_any_workers_and_batches(generate: Callable, phantoms: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(phantoms, tmp_path / "studies"))
    random = np.random.default_rng(0)
    for number in range(20):
        save(make_dataset(random.integers(0, 4096, (90, 70 + number), np.uint16)), folder / f"{number}.dcm")
    (folder / "bad.png").write_text("not a picture")
    settings = [(0, 1), (0, 8), (1, 3), (2, 8), (3, 1), (3, 64)]
    runs = [
        timeless(
            generate("--json", "--force", "--attention", "--workers", workers, "--batch-size", size, folder).stdout
        )
        for workers, size in settings
    ]
    assert len(runs[0]) > 25
    assert all(run == runs[0] for run in runs)
    by_default = timeless(generate("--json", "--force", "--attention", folder).stdout)
    assert json.dumps(by_default) == json.dumps(runs[0])


# Mutations


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "workers"), [(1, None), (2, 0)])
def test_mutated_files(seed: int, workers: int | None, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short tier of `scripts/mutation_campaign.py`."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    from mutation_campaign import campaign

    tally = campaign(count=150, seed=seed, batch=150, model=tiny_bundle, workers=workers)
    assert tally.files == 150
    assert tally.faults == []
    assert tally.outcomes["report"] > 10
