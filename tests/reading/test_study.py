from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import sys
import tracemalloc
import warnings
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_factory import make_dataset, phantom, real, sample, save
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset

from cxreport.errors import (
    CxreportError,
    MissingCodecError,
    NoFrontalViewError,
    NotAChestRadiographError,
    NothingReadableError,
    TooLargeError,
    UnreadableFileError,
    UsageError,
)
from cxreport.reading.dicom.codecs import CODECS
from cxreport.reading.dicom.views import DicomImage
from cxreport.reading.study import ReadOptions, read_studies, read_study
from cxreport.types import Failure, Position, Study

PIXELS = phantom()


def instance(path: Path, study: str = "1.2.3", **attributes: Any) -> Path:
    return save(make_dataset(PIXELS, bits_stored=12, StudyInstanceUID=study, **attributes), path)


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(phantom(white=255, dtype="uint8")).save(path)
    return path


def read(*paths: Path, **options: Any) -> list[Study | Failure]:
    return list(read_studies(paths, ReadOptions(**options)))


def study(*paths: Path, **options: Any) -> Study:
    (outcome,) = read(*paths, **options)
    assert isinstance(outcome, Study), outcome
    assert outcome.view is not None
    return outcome


def failure(*paths: Path, **options: Any) -> CxreportError:
    (outcome,) = read(*paths, **options)
    assert isinstance(outcome, Failure), outcome
    return outcome.error


# Discovery


def test_a_folder_of_everything(tmp_path: Path) -> None:
    for name in ("RG1_UNCR.dcm", "RG1_J2KR.dcm", "RG1_J2KI.dcm", "CT_small.dcm", "DICOMDIR", "test-SR.dcm"):
        shutil.copy(real(name), tmp_path / name)
    instance(tmp_path / "b" / "bare").rename(tmp_path / "b" / "no-extension")
    picture(tmp_path / "p.jpg").rename(tmp_path / "p.png")  # content decides
    Image.fromarray(phantom(white=65535)).save(tmp_path / "deep.png")
    (tmp_path / "text.png").write_text("not a picture")
    content = (tmp_path / "RG1_UNCR.dcm").read_bytes()
    (tmp_path / "truncated.dcm").write_bytes(content[:1000])
    for junk in ("notes.txt", "a.csv", "a.json", "README.md", "a.xml", ".hidden", "Thumbs.db", "README"):
        (tmp_path / junk).write_text("words")
    (tmp_path / "report.pdf").write_bytes(b"%PDF-1.4\0\1\2")
    picture(tmp_path / "__MACOSX" / "p.png")
    picture(tmp_path / ".cache" / "p.png")

    outcomes = read(tmp_path)

    by_id = {outcome.id: outcome for outcome in outcomes}
    assert len(by_id) == len(outcomes) == 7
    assert {type(outcome) for outcome in outcomes} == {Study, Failure}
    assert isinstance(by_id["p.png"], Study)
    assert isinstance(by_id["deep.png"], Study)
    errors = {outcome.id: type(outcome.error) for outcome in outcomes if isinstance(outcome, Failure)}
    assert errors.pop("text.png") is UnreadableFileError
    assert errors.pop("truncated.dcm", UnreadableFileError) is UnreadableFileError
    assert NotAChestRadiographError in errors.values()


def test_named_files_must_be_readable(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("words")
    (tmp_path / "empty.dcm").write_bytes(b"")
    for path in (tmp_path / "notes.txt", tmp_path / "empty.dcm", tmp_path / "missing.dcm", real("test-SR.dcm")):
        assert failure(path).code == "unreadable"
    assert "does not exist" in failure(tmp_path / "missing.dcm").message
    assert failure(real("DICOMDIR")).code == "unreadable"
    assert read(tmp_path / "empty.dcm")[0].id == "empty.dcm"


def test_an_empty_folder_gives_nothing(tmp_path: Path) -> None:
    assert read(tmp_path) == []


@pytest.mark.parametrize("encoding", ["implicit", "explicit", "big-endian"])
def test_bare_data_sets_are_found(tmp_path: Path, encoding: str) -> None:
    save(make_dataset(PIXELS, encoding=encoding), tmp_path / "old", preamble=False)
    assert study(tmp_path).sources == (f"{tmp_path}/old",)


def test_a_file_named_twice_counts_once(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png")
    assert len(read(path, path, tmp_path)) == 1


# Files of one study


def test_dicom_is_grouped_across_the_input(tmp_path: Path) -> None:
    instance(tmp_path / "a" / "1.dcm", "1.2.3", ViewPosition="LL")
    instance(tmp_path / "a" / "2.dcm", "1.2.4")
    instance(tmp_path / "b" / "1.dcm", "1.2.3", ViewPosition="PA")
    first, second = read(tmp_path / "a", tmp_path / "b")
    assert first.sources == (f"{tmp_path}/a/1.dcm", f"{tmp_path}/b/1.dcm")
    assert isinstance(first, Study)
    assert first.view is not None
    assert first.view.info.position is Position.PA
    assert [(view.source, view.position) for view in first.other_views] == [(f"{tmp_path}/a/1.dcm", Position.LATERAL)]
    assert second.sources == (f"{tmp_path}/a/2.dcm",)


def test_ids_are_pseudonyms_and_stable(tmp_path: Path) -> None:
    pseudonym = study(instance(tmp_path / "a.dcm", "1.2.3")).id
    assert pseudonym == study(instance(tmp_path / "b.dcm", "1.2.3")).id
    assert pseudonym.startswith("study-")
    assert pseudonym[6:] not in sha256(b"1.2.3").hexdigest()
    assert study(picture(tmp_path / "c.png")).id == "c.png"


def test_dicom_without_a_study_uid_is_its_own_study(tmp_path: Path) -> None:
    for name in ("a.dcm", "b.dcm"):
        dataset = make_dataset(PIXELS)
        del dataset.StudyInstanceUID
        save(dataset, tmp_path / name)
    assert [outcome.id for outcome in read(tmp_path)] == ["a.dcm", "b.dcm"]


def test_pictures_by_folder(tmp_path: Path) -> None:
    for name in ("s1/view1_frontal.png", "s1/view2_lateral.png", "s2/view1_frontal.png"):
        picture(tmp_path / name)
    assert len(read(tmp_path)) == 3
    first, second = read(tmp_path, group_by="folder")
    assert (first.id, second.id) == ("s1", "s2")
    assert isinstance(first, Study)
    assert [view.position for view in first.other_views] == [Position.LATERAL]


def test_the_order_is_deterministic(tmp_path: Path) -> None:
    for name in ("b.png", "a.png", "sub/c.png", "c.png"):
        picture(tmp_path / name)
    instance(tmp_path / "bb.dcm")
    names = [Path(outcome.sources[0]).name for outcome in read(tmp_path)]
    assert names == ["a.png", "b.png", "bb.dcm", "c.png", "c.png"]
    assert [outcome.id for outcome in read(tmp_path)] == [outcome.id for outcome in read(tmp_path)]


def test_real_twins_count_once(tmp_path: Path) -> None:
    for name in ("RG1_J2KI.dcm", "RG1_J2KR.dcm", "RG1_UNCI.dcm", "RG1_UNCR.dcm"):
        shutil.copy(real(name), tmp_path / name)
    outcome = study(tmp_path)
    assert outcome.view is not None
    assert outcome.view.info.source == f"{tmp_path}/RG1_J2KR.dcm"  # the first that is not lossy
    assert outcome.other_views == ()
    (warning,) = outcome.warnings
    assert "repeats an image" in warning
    assert np.array_equal(outcome.view.pixels, study(tmp_path / "RG1_UNCR.dcm").view.pixels)  # type: ignore[union-attr]


def test_a_copy_steps_in_for_one_that_cannot_be_decoded(tmp_path: Path) -> None:
    image = uid.generate_uid()
    first = instance(tmp_path / "1.dcm", SOPInstanceUID=image)
    instance(tmp_path / "2.dcm", SOPInstanceUID=image)
    first.write_bytes(first.read_bytes()[:-500])
    outcome, unreadable = read_studies([tmp_path])
    assert isinstance(outcome, Study)
    assert outcome.view is not None
    assert outcome.view.info.source == f"{tmp_path}/2.dcm"
    assert isinstance(unreadable, Failure)
    assert unreadable.sources == (f"{tmp_path}/1.dcm",)
    assert any("1.dcm" in warning and "truncated" in warning for warning in outcome.warnings)


# Choice of a view


@pytest.mark.parametrize(
    ("positions", "best"),
    [(["LL", "AP", "PA"], 2), (["", "AP"], 1), (["LL", ""], 1), (["PA", "PA"], 0), (["RL", "AP", "AP"], 1)],
)
def test_preferred_view(tmp_path: Path, positions: list[str], best: int) -> None:
    for number, position in enumerate(positions):
        instance(tmp_path / f"{number}.dcm", ViewPosition=position)
    outcome = study(tmp_path)
    assert outcome.view is not None
    assert outcome.view.info.source == f"{tmp_path}/{best}.dcm"
    assert len(outcome.other_views) == len(positions) - 1


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the DICOM files whose pixels are read, as they are."""
    names: list[str] = []
    original = DicomImage.rendering

    def rendering(image: DicomImage, frame: int) -> Any:
        names.append(Path(image.instance.source).name)
        return original(image, frame)

    monkeypatch.setattr(DicomImage, "rendering", rendering)
    return names


def test_only_the_used_view_is_decoded(tmp_path: Path, decoded: list[str]) -> None:
    for number, position in enumerate(["LL", "PA", "AP"]):
        instance(tmp_path / f"{number}.dcm", ViewPosition=position)
    study(tmp_path)
    assert decoded == ["1.dcm"]


def test_the_next_frontal_view_replaces_a_damaged_one(tmp_path: Path) -> None:
    damaged = instance(tmp_path / "1.dcm", ViewPosition="PA")
    damaged.write_bytes(damaged.read_bytes()[:-500])
    instance(tmp_path / "2.dcm", ViewPosition="AP")
    outcome, unreadable = read_studies([tmp_path])
    assert isinstance(outcome, Study)
    assert outcome.view is not None
    assert outcome.view.info.position is Position.AP
    assert outcome.other_views == ()
    assert "1.dcm" in outcome.warnings[0]
    assert isinstance(unreadable, Failure)
    assert unreadable.id == f"{outcome.id}/1.dcm"


def test_lateral_views_only(tmp_path: Path) -> None:
    path = instance(tmp_path / "1.dcm", ViewPosition="LL")
    assert isinstance(failure(path), NoFrontalViewError)
    forced = study(path, force=True)
    assert forced.view is not None
    assert forced.view.info.position is Position.LATERAL
    assert "lateral" in forced.warnings[0]
    assert isinstance(failure(picture(tmp_path / "x_lateral.png")), NoFrontalViewError)


def test_frames_and_pages_are_views_up_to_a_cap(tmp_path: Path) -> None:
    path = save(make_dataset(np.stack([PIXELS] * 5)), tmp_path / "a.dcm")
    outcome = study(path, max_frames=3)
    assert outcome.view is not None
    assert outcome.view.info.frame == 0
    assert [view.frame for view in outcome.other_views] == [1, 2]
    assert "3 of 5 frames" in outcome.warnings[0]
    pages = [Image.fromarray(PIXELS) for _ in range(4)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    outcome = study(tmp_path / "a.tif", max_frames=2)
    assert len(outcome.other_views) == 1
    assert "2 of 4 frames" in outcome.warnings[0]


# Refusals


@pytest.mark.parametrize("name", ["RG3_UNCR.dcm", "RG3_J2KR.dcm", "CT_small.dcm", "MR_small.dcm", "US1_UNCR.dcm"])
def test_real_refusals(name: str) -> None:
    error = failure(real(name))
    assert isinstance(error, NotAChestRadiographError)
    assert "--force" in error.hint
    assert study(real(name), force=True).view is not None


def test_a_refused_instance_beside_a_radiograph(tmp_path: Path) -> None:
    for number in range(5):
        instance(tmp_path / f"ct{number}.dcm", Modality="CT")
    instance(tmp_path / "x.dcm")
    outcome = study(tmp_path)
    (warning,) = outcome.warnings
    assert "Modality is CT" in warning
    assert "and 2 more" in warning


def test_limits(tmp_path: Path) -> None:
    assert isinstance(failure(instance(tmp_path / "a.dcm"), max_megapixels=0.001), TooLargeError)
    assert isinstance(failure(picture(tmp_path / "a.png"), max_megapixels=0.001), TooLargeError)


def test_a_missing_codec_is_one_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pydicom.pixels.decoders.base import Decoder

    path = save(make_dataset(PIXELS, encoding="jpeg2000-lossless"), tmp_path / "a.dcm")
    monkeypatch.setattr(Decoder, "is_available", False)
    assert isinstance(failure(path), MissingCodecError)


# The only study of a path


def test_the_one_study_of_a_folder(tmp_path: Path) -> None:
    for position in ("PA", "LL"):
        instance(tmp_path / f"{position}.dcm", ViewPosition=position)
    (tmp_path / "damaged.png").write_text("not a picture")
    only = read_study(tmp_path)
    assert only.view is not None
    assert only.view.info.position is Position.PA
    assert only.warnings == (f"{tmp_path}/damaged.png: The file is neither DICOM nor a PNG, JPEG or TIFF picture.",)


def test_unreadable_files_of_the_one_study_are_named_once(tmp_path: Path) -> None:
    damaged = instance(tmp_path / "1.dcm")
    damaged.write_bytes(damaged.read_bytes()[:-500])
    instance(tmp_path / "2.dcm")
    assert read_study(tmp_path).warnings == (f"{tmp_path}/1.dcm: The pixel data is truncated.",)


def test_no_study_and_several(tmp_path: Path) -> None:
    with pytest.raises(NothingReadableError, match="no study") as raised:
        read_study(tmp_path)
    assert raised.value.message == f"{tmp_path}: no study."
    (tmp_path / "damaged.png").write_text("not a picture")
    with pytest.raises(NothingReadableError, match="neither DICOM nor") as raised:
        read_study(tmp_path)
    assert raised.value.hint == UnreadableFileError.hint
    for name in ("a.png", "b.png"):
        picture(tmp_path / name)
    with pytest.raises(UsageError, match="holds several studies"):
        read_study(tmp_path)


# Privacy


def test_no_patient_data_in_texts(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    name, study_uid, image_uid = "Quetzalcoatl^Xiu", "1.2.826.0.1.77777.1", "1.2.826.0.1.77777.2"
    secrets = ["Quetzalcoatl", "77777", "QX-4711", "19330101"]
    marks = {"PatientName": name, "PatientID": "QX-4711", "PatientBirthDate": "19330101", "StudyDate": "19330101"}
    spoilt = [
        {},
        {"Modality": name},
        {"Modality": "CT", "SeriesDescription": name},
        {"BodyPartExamined": "HAND Quetzalcoatl"},
        {"ViewPosition": "LL"},
        {"PhotometricInterpretation": name},
        {"Rows": 5000},
        {"BitsAllocated": 12},
        {"SamplesPerPixel": 7},
        {"NumberOfFrames": name},
        {"WindowCenter": None},
        {"VOILUTFunction": name},
    ]
    for number, attributes in enumerate(spoilt):
        attributes = {"WindowCenter": "1000", "WindowWidth": "1000"} | attributes
        dataset = make_dataset(PIXELS, **marks)
        dataset.StudyInstanceUID = f"{study_uid}.{number}"
        dataset.SOPInstanceUID = f"{image_uid}.{number}"
        for keyword, value in attributes.items():
            with warnings.catch_warnings(), contextlib.suppress(ValueError):
                warnings.simplefilter("ignore")
                setattr(dataset, keyword, value)
        path = save(dataset, tmp_path / f"{number}.dcm")
        data = path.read_bytes()
        (tmp_path / f"{number}-cut.dcm").write_bytes(data[: len(data) // 2])
        (tmp_path / f"{number}-short.dcm").write_bytes(data[:500])
        (tmp_path / f"{number}-syntax.dcm").write_bytes(
            data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.826.0.1.77777.9\0")
        )
    caplog.clear()  # of what pydicom said while the files were made
    texts = []
    for outcome in itertools.chain(read(tmp_path), *(read(path) for path in sorted(tmp_path.iterdir()))):
        texts.append(outcome.id)
        texts += list(outcome.warnings) if isinstance(outcome, Study) else [outcome.error.message, outcome.error.hint]
    everything = "\n".join([*texts, caplog.text, *capfd.readouterr()])
    assert len(texts) > 40
    assert not [secret for secret in secrets if secret in everything]


# Cost


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """Paths of the files that this process opens, as it does."""
    paths: list[str] = []
    listening = [True]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if listening and event == "open" and isinstance(arguments[0], str):
            paths.append(arguments[0])

    sys.addaudithook(hook)  # there is no way to take it away
    yield paths
    listening.clear()


ALL_SAMPLES = {codec.name: codec.transfer_syntaxes[0] for codec in CODECS}


@pytest.mark.parametrize("transfer_syntax", ALL_SAMPLES.values(), ids=ALL_SAMPLES)
def test_a_file_is_opened_to_discover_it_and_to_read_it(
    tmp_path: Path, opened: list[str], transfer_syntax: uid.UID
) -> None:
    path = sample(transfer_syntax, tmp_path / "a.dcm")
    opened.clear()
    study(path, force=True)
    assert opened.count(str(path)) == 2


def test_so_is_a_picture(tmp_path: Path, opened: list[str]) -> None:
    path = picture(tmp_path / "a.png")
    opened.clear()
    study(path)
    assert opened.count(str(path)) == 2


@pytest.mark.parametrize("positions", [["LL", "PA", "AP"], ["PA", "LL"], ["", "AP", "PA"]], ids=str)
def test_so_is_every_file_of_a_study_of_several(tmp_path: Path, opened: list[str], positions: list[str]) -> None:
    for number, position in enumerate(positions):
        instance(tmp_path / f"{number}.dcm", ViewPosition=position)
    opened.clear()
    study(tmp_path)
    assert [opened.count(f"{tmp_path}/{number}.dcm") for number in range(len(positions))] == [2] * len(positions)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="asks Linux for the open files")
@pytest.mark.parametrize("damage", [False, True])
def test_no_file_stays_open(tmp_path: Path, damage: bool) -> None:
    for number, position in enumerate(["LL", "PA", "AP"]):
        path = instance(tmp_path / f"{number}.dcm", ViewPosition=position)
        if damage:
            path.write_bytes(path.read_bytes()[:-500])
    picture(tmp_path / "a.png")
    for _ in read_studies([tmp_path]):
        links = [os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
        assert not [link for link in links if link.startswith(str(tmp_path))]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "The file does not exist."),
        (b"words", "The file is neither DICOM nor a PNG, JPEG or TIFF picture."),
        (b"\x89PNG\r\n\x1a\n", "The picture is truncated or damaged."),
    ],
    ids=["gone", "text", "picture"],
)
def test_a_file_that_changes_after_it_was_discovered_fails_alone(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    for number in range(3):
        instance(tmp_path / f"{number}.dcm", f"1.2.{number}")
    outcomes = read_studies([tmp_path])
    assert isinstance(next(outcomes), Study)
    if content is None:
        (tmp_path / "1.dcm").unlink()
    else:
        (tmp_path / "1.dcm").write_bytes(content)
    changed, unchanged = outcomes
    assert isinstance(changed, Failure)
    assert changed.error.message == message
    assert isinstance(unchanged, Study)


def test_one_study_is_held_at_a_time(tmp_path: Path) -> None:
    image = np.zeros((1000, 1000), "uint16")
    image[::2] = 4000
    for number in range(12):
        save(make_dataset(image, StudyInstanceUID=f"1.2.{number}"), tmp_path / f"{number}.dcm")
    tracemalloc.start()
    try:
        for _ in read_studies([tmp_path]):
            pass
        _, peak_of_all = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for _ in read_studies([tmp_path / "0.dcm"]):
            pass
        _, peak_of_one = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_of_all < peak_of_one + 2.5e6  # the caller's study, 1 MB, beside the one in work


def test_the_index_of_many_files_is_small(tmp_path: Path) -> None:
    count = 800
    tiny = save(make_dataset(PIXELS[:2, :2], StudyInstanceUID="1.2.000000"), tmp_path / "template").read_bytes()
    (tmp_path / "template").unlink()
    for number in range(count):
        (tmp_path / f"{number:06}.dcm").write_bytes(tiny.replace(b"1.2.000000", f"1.2.{number + 100000}".encode()))
    tracemalloc.start()
    try:
        outcomes = read_studies([tmp_path])
        next(outcomes)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held / count < 700  # bytes per file, of which the path takes about 300
    assert peak < held + 1e6


def test_pixels_of_later_studies_wait(tmp_path: Path, decoded: list[str]) -> None:
    for number in range(4):
        instance(tmp_path / f"{number}.dcm", f"1.2.{number}")
    outcomes = read_studies([tmp_path])
    assert decoded == []
    next(outcomes)
    assert len(decoded) == 1


def test_a_purpose_other_than_predecessor_does_not_make_a_twin(tmp_path: Path) -> None:
    code = Dataset()
    code.CodeValue = "121322"  # source image for image processing operation
    source = Dataset()
    source.ReferencedSOPInstanceUID = "1.2.3.1"
    source.PurposeOfReferenceCodeSequence = [code]
    instance(tmp_path / "1.dcm", SOPInstanceUID="1.2.3.1")
    instance(tmp_path / "2.dcm", SourceImageSequence=[source])
    assert len(study(tmp_path).other_views) == 1
