from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from command_line import records, start, timeless
from PIL import Image

from cxreport import __version__
from cxreport.drafting import pipeline
from cxreport.output.record import record_schema
from cxreport.types import Outcome

OPENI_HEADER = "uid,filename,projection,Atelectasis,Cardiomegaly,Effusion"
PHANTOM_FILES = 8
PHANTOM_STUDIES = 7


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A text file that is called a picture."""
    path = tmp_path / "bad.png"
    path.write_text("not a picture")
    return path


@pytest.fixture
def full_table(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A tag table with all the tags of the tiny bundle."""
    tags = [tag["name"] for tag in json.loads((tiny_bundle / "model.json").read_text())["tags"]]
    path = tmp_path / "tags.csv"
    path.write_text(f"study,{','.join(tags)}\nA{',0.9' * len(tags)}\nB{',0.1' * len(tags)}\n")
    return path


# What every command does


def test_version(run_cli) -> None:
    assert run_cli("--version").stdout == f"cxreport {__version__}\n"


@pytest.mark.parametrize("command", ["generate", "explain", "label", "evaluate", "info", "schema", "train", "export"])
def test_help(run_cli, command: str) -> None:
    result = run_cli(command, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


# Exit codes


def test_0_all_done(generate, phantoms) -> None:
    result = generate("--json", phantoms)
    assert result.exit_code == 0
    assert len(records(result.stdout)) == PHANTOM_STUDIES
    assert result.stderr.splitlines() == [
        "Research use only: a drafted report is no diagnosis and must not guide care.",
        f"{PHANTOM_STUDIES} studies: {PHANTOM_STUDIES} drafted, 0 failed.",
    ]


@pytest.mark.parametrize("flags", [[], ["--verbose"]])
def test_1_unexpected_without_what_the_exception_says(generate, phantoms, monkeypatch, flags) -> None:
    def broken(*_: object) -> Iterator[Outcome]:
        raise ValueError("Patient^Name")

    monkeypatch.setattr(pipeline, "generate", broken)
    result = generate(phantoms, *flags)
    assert result.exit_code == 1
    assert "error: unexpected ValueError" in result.stderr
    assert ("Traceback" in result.stderr) == ("Patient^Name" in result.stderr) == bool(flags)


def test_1_every_study_failed_unexpectedly(generate, phantoms, monkeypatch) -> None:
    monkeypatch.setattr(pipeline, "encode", None)
    result = generate("--json", phantoms)
    assert result.exit_code == 1
    assert {record["error"]["code"] for record in records(result.stdout)} == {"unexpected"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Nothing to read"),
        (["x.png", "--example"], "exclude one another"),
        (["x.png", "--evidence", "head"], "--evidence goes with --from-tags"),
        (["x.png", "--json", "--format", "text"], "exclude one another"),
        (["x.png", "--beam", "0"], "--beam"),
        (["x.png", "--threshold", "1.5"], "--threshold"),
        (["x.png", "--format", "xml"], "--format"),
        (["--from-tags", "none.csv"], "none.csv: cannot be read"),
    ],
)
def test_2_usage(generate, arguments, message) -> None:
    result = generate(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


def test_2_unknown_evidence_names_the_known(generate, full_table) -> None:
    result = generate("--from-tags", full_table, "--evidence", "other")
    assert result.exit_code == 2
    assert "error: The bundle knows no evidence 'other'.\nhint: It knows: " in result.stderr
    assert "head" in result.stderr


def test_2_output_that_cannot_be_written(generate, phantoms, tmp_path) -> None:
    result = generate(phantoms, "--out", tmp_path / "none" / "out.txt")
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr


@pytest.mark.parametrize("format_", ["text", "json", "jsonl"])
def test_3_no_study_at_all(generate, tmp_path, format_) -> None:
    (tmp_path / "empty").mkdir()
    result = generate(tmp_path / "empty", "--format", format_)
    assert result.exit_code == 3
    assert "error: No study among the inputs." in result.stderr
    assert result.stdout == {"text": "", "json": "[]\n", "jsonl": ""}[format_]


def test_3_every_input_failed(generate, bad, tmp_path) -> None:
    result = generate("--json", bad, tmp_path / "missing.dcm")
    assert result.exit_code == 3
    assert all("error" in record for record in records(result.stdout))
    assert len(records(result.stdout)) == 2


def test_4_bundle_unusable(run_cli, phantoms, tmp_path, tiny_bundle) -> None:
    assert run_cli("generate", phantoms, "--model", tmp_path).exit_code == 4
    altered = shutil.copytree(tiny_bundle, tmp_path / "altered")
    (altered / "encoder.onnx").write_bytes(b"other")
    result = run_cli("generate", phantoms, "--model", altered)
    assert result.exit_code == 4
    assert result.stderr.startswith("error: ")
    assert "\nhint: " in result.stderr


def test_5_extra_missing(generate, run_cli, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("pydicom.data.get_testdata_file", lambda *_, **__: None)
    result = generate("--example")
    assert result.exit_code == 5
    assert "hint: pip install 'cxreport[examples]'" in result.stderr

    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    for arguments in (
        ["train", "--recipe", "unpaired", "--data", tmp_path, "--out", tmp_path],
        ["export", tmp_path, tmp_path],
    ):
        result = run_cli(*arguments)
        assert result.exit_code == 5
        assert "hint: pip install 'cxreport[train]'" in result.stderr


def test_6_some_failed(generate, phantoms, bad) -> None:
    result = generate("--json", bad, phantoms / "rle.dcm")
    assert result.exit_code == 6
    failed, done = records(result.stdout)
    assert failed["error"]["code"] == "unreadable"
    assert "findings" in done
    assert f"failed: bad.png: {failed['error']['message']}" in result.stderr


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_130_interrupted_after_whole_records(tiny_bundle, full_table) -> None:
    process = start(
        *("generate", "--model", tiny_bundle, "--device", "cpu", "--json", "--batch-size", 1),
        *("--from-tags", "/dev/stdin"),
    )
    process.stdin.write(full_table.read_text())
    process.stdin.flush()
    first = process.stdout.readline()  # the second study's rows may go on, so it waits for more
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()
    assert process.wait(timeout=60) == 130
    assert [record["study"]["id"] for record in records(first + rest)] == ["A"]
    assert process.stderr.read().splitlines()[-1] == "interrupted"


@pytest.mark.parametrize("format_", ["text", "json", "jsonl"])
def test_a_reader_that_goes_away_ends_the_run_quietly(tiny_bundle, phantoms, format_) -> None:
    process = start("generate", "--model", tiny_bundle, "--device", "cpu", "--format", format_, phantoms, "--quiet")
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    assert process.stderr.read() == ""


# Input


def test_example(generate) -> None:
    pytest.importorskip("data_store", reason="needs pydicom-data")
    (record,) = records(generate("--example", "--json").stdout)
    assert record["study"]["views"]["used"][0]["position"] == "PA"


def test_paths_from_stdin_keep_their_place(generate, phantoms) -> None:
    names = ["rle.dcm", "explicit-le.dcm"]
    stdin = "".join(f"{phantoms / name}\n" for name in names) + "\n"
    found = records(generate("--json", phantoms / "normal-8bit.png", "-", stdin=stdin).stdout)
    assert [Path(record["study"]["sources"][0]).name for record in found] == ["normal-8bit.png", *names]


def test_views_used_and_not_used(generate, phantoms) -> None:
    (record,) = records(generate("--json", *phantoms.glob("j2k-*.dcm")).stdout)
    assert [view["position"] for view in record["study"]["views"]["used"]] == ["PA"]
    assert [view["position"] for view in record["study"]["views"]["not_used"]] == ["LATERAL"]


def test_limits_and_force_reach_the_reader(generate, phantoms) -> None:
    (record,) = records(generate("--json", "--max-megapixels", "0.01", phantoms / "rle.dcm").stdout)
    assert record["error"]["code"] == "too-large"
    lateral = phantoms / "j2k-lateral.dcm"
    assert records(generate("--json", lateral).stdout)[0]["error"]["code"] == "no-frontal-view"
    assert "findings" in records(generate("--json", "--force", lateral).stdout)[0]


def test_pixels_of_something_else_are_refused_without_force(generate, tmp_path) -> None:
    path = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(5).integers(0, 256, (32, 32), np.uint8)).save(path)
    result = generate("--json", path)
    assert result.exit_code == 3
    (record,) = records(result.stdout)
    assert record["error"]["code"] == "not-a-chest-radiograph"
    assert "--force" in record["error"]["hint"]
    (record,) = records(generate("--json", "--force", path).stdout)
    assert any("does not look like" in warning for warning in record["warnings"])


def test_folders_as_studies(generate, phantoms, tmp_path) -> None:
    for name in ("normal-8bit.png", "large-heart-16bit.png"):
        shutil.copy(phantoms / name, tmp_path)
    assert len(records(generate("--json", tmp_path).stdout)) == 2
    assert len(records(generate("--json", "--group-by", "folder", tmp_path).stdout)) == 1


def test_tag_table(generate, full_table) -> None:
    result = generate("--json", "--from-tags", full_table)
    assert result.exit_code == 0
    found = records(result.stdout)
    assert [record["study"]["id"] for record in found] == ["A", "B"]
    assert found[0]["tags"][0]["probability"] == 0.9
    assert found[0]["study"]["views"] == {"used": [], "not_used": []}
    matched = records(generate("--json", "--from-tags", full_table, "--evidence", "head").stdout)
    assert matched[0]["tags"] == found[0]["tags"]


def test_openi_table_with_bad_rows(generate, tmp_path) -> None:
    table = tmp_path / "t.csv"
    rows = ["1,a,Frontal,0.2,0.9,0.1", "1,b,Lateral,1,1,1", "2,c,Frontal,0.2,x,0.1", "3,d,Lateral,1,1,1"]
    table.write_text("\n".join([OPENI_HEADER, *rows]))
    result = generate("--json", "--from-tags", table)
    assert result.exit_code == 6
    done, failed = records(result.stdout)
    assert done["study"]["id"] == "1"
    assert failed["error"]["message"] == "Row 4: Cardiomegaly not a number from 0 to 1."
    assert "1 studies without a Frontal row were left out" in result.stderr


def test_table_without_tags_is_a_usage_error(generate, tmp_path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("study,age\nA,4\n")
    result = generate("--from-tags", table)
    assert result.exit_code == 2
    assert "no column is a tag of the bundle" in result.stderr


# Output


def test_json_golden(generate, phantoms, golden, monkeypatch) -> None:
    monkeypatch.chdir(phantoms.parent)
    text = generate("--json", "phantoms").stdout
    golden("generate.jsonl", "".join(json.dumps(record) + "\n" for record in timeless(text)))


def test_text_golden(generate, phantoms, golden, monkeypatch) -> None:
    monkeypatch.chdir(phantoms.parent)
    golden("generate.txt", generate("phantoms/j2k-pa.dcm", "phantoms/j2k-lateral.dcm", "none.dcm").stdout)


def test_the_same_from_run_to_run_and_in_any_batch(generate, phantoms) -> None:
    runs = [timeless(generate("--json", "--batch-size", size, phantoms).stdout) for size in (1, 3, 8, 8)]
    assert all(run == runs[0] for run in runs)


def test_formats_agree(generate, phantoms) -> None:
    lines = timeless(generate("--format", "jsonl", phantoms).stdout)
    array = json.loads(generate("--format", "json", phantoms).stdout)
    assert [{k: v for k, v in record.items() if k != "timing_ms"} for record in array] == lines
    text = generate(phantoms).stdout
    assert all(record["study"]["id"] in text for record in lines)
    assert "\x1b" not in text


def test_quiet_leaves_stderr_empty(generate, phantoms, bad) -> None:
    result = generate("--json", "--quiet", phantoms, bad)
    assert result.stderr == ""
    assert result.exit_code == 6


def test_tags_only(generate, phantoms) -> None:
    for record in records(generate("--json", "--tags-only", phantoms).stdout):
        assert record["findings"] == record["impression"] == record["warnings"] == []
        assert record["tags"]


@pytest.mark.parametrize(("threshold", "positive"), [(0, {True}), (1, {False})])
def test_threshold(generate, phantoms, threshold, positive) -> None:
    (record,) = records(generate("--json", "--tags-only", "--threshold", threshold, phantoms / "rle.dcm").stdout)
    assert {tag["positive"] for tag in record["tags"]} == positive
    assert bool(record["plan"]) == (threshold == 0)


def test_beam(generate, phantoms) -> None:
    assert len(records(generate("--json", "--beam", 3, phantoms / "rle.dcm").stdout)) == 1


@pytest.mark.parametrize("format_", ["text", "json", "jsonl"])
def test_out_file(generate, phantoms, tmp_path, format_) -> None:
    out = tmp_path / "out"
    result = generate(phantoms / "rle.dcm", "--tags-only", "--format", format_, "--out", out)
    assert (result.exit_code, result.stdout) == (0, "")
    assert out.read_text().startswith({"text": "╭", "json": "[\n", "jsonl": '{"schema'}[format_])
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(("format_", "suffix"), [("text", ".txt"), ("json", ".json"), ("jsonl", ".jsonl")])
def test_out_folder_has_a_file_for_each_study(generate, phantoms, tmp_path, format_, suffix) -> None:
    twins = []
    for name in "ab":
        (tmp_path / name).mkdir()
        twins.append(shutil.copy(phantoms / "normal-8bit.png", tmp_path / name))
    out = tmp_path / "made"
    result = generate(*twins, phantoms / "rle.dcm", "--format", format_, "--out", f"{out}/")
    assert (result.exit_code, result.stdout) == (0, "")
    names = sorted(path.name for path in out.iterdir())
    assert names[:2] == [f"normal-8bit.png{suffix}", f"normal-8bit.png~2{suffix}"]
    assert len(names) == 3


def interrupted(*arguments: object) -> Iterator[Outcome]:
    yield next(GENERATE(*arguments))
    raise KeyboardInterrupt


GENERATE = pipeline.generate


@pytest.mark.parametrize("format_", ["json", "jsonl"])
def test_interrupted_file_keeps_valid_results_beside_the_old_ones(
    generate, phantoms, tmp_path, monkeypatch, format_
) -> None:
    monkeypatch.setattr(pipeline, "generate", interrupted)
    out = tmp_path / "out"
    out.write_text("old")
    result = generate(phantoms, "--format", format_, "--out", out)
    assert result.exit_code == 130
    assert out.read_text() == "old"
    assert f"results so far: {out}.partial" in result.stderr
    assert len(json.loads((tmp_path / "out.partial").read_text().join("[]" if format_ == "jsonl" else ["", ""]))) == 1


def test_no_results_leave_no_file(generate, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    assert generate(tmp_path / "empty", "--out", tmp_path / "out").exit_code == 3
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


# The other commands


@pytest.fixture
def no_session(monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a session was made")

    monkeypatch.setattr("onnxruntime.InferenceSession", refuse)


@pytest.mark.usefixtures("no_session")
def test_info(run_cli, tiny_bundle) -> None:
    facts = json.loads(run_cli("info", "--json", "--model", tiny_bundle).stdout)
    assert facts["version"] == __version__
    assert facts["bundle"]["name"] == "tiny"
    assert len(facts["bundle"]["sha256"]) == 64
    assert facts["bundle"]["tags"][0].keys() == {"name", "threshold"}
    assert "CPUExecutionProvider" in facts["providers"]
    assert all(facts["dicom_decoders"].values())
    text = run_cli("info", "--model", tiny_bundle).stdout
    assert facts["bundle"]["sha256"] in text
    assert max(map(len, text.splitlines())) <= 80


def test_info_without_a_bundle_tells_the_rest(run_cli, tmp_path) -> None:
    result = run_cli("info", "--json", "--model", tmp_path)
    assert result.exit_code == 4
    assert json.loads(result.stdout)["bundle"] is None
    assert "error: " in result.stderr


def test_schema(run_cli) -> None:
    assert json.loads(run_cli("schema").stdout) == record_schema()


class FakeTraining:
    """Stands in for the training modules, which need torch."""

    def __init__(self) -> None:
        self.calls: list[tuple] = []

    def train(self, config: Path, data: Path, run: Path, progress, architecture, encoder) -> None:
        self.calls.append((config, data, run, architecture, encoder))
        progress.step("decoder", 1, 2, 0.5)
        progress.epoch("decoder", {"epoch": 1, "loss": 0.25})

    def export(self, run: Path, out: Path) -> dict[str, float]:
        self.calls.append((run, out))
        return {"megabytes": 41.5}


@pytest.fixture
def training(monkeypatch) -> FakeTraining:
    import cxreport.train.export

    fake = FakeTraining()
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: object())
    for package in (cxreport.train, cxreport.train.export):
        monkeypatch.setitem(sys.modules, f"{package.__name__}.run", fake)
        monkeypatch.setattr(package, "run", fake, raising=False)
    return fake


def test_train(run_cli, training) -> None:
    result = run_cli("train", "--recipe", "unpaired", "--data", "data", "--out", "run")
    assert result.exit_code == 0
    ((config, data, run, architecture, encoder),) = training.calls
    assert (config.name, data, run) == ("unpaired.toml", Path("data"), Path("run"))
    assert (architecture, encoder) == (None, None)
    assert config.is_file()
    assert result.stdout == ""
    assert result.stderr == "decoder: epoch 1, loss 0.2500\n"


def test_train_another_architecture_with_the_encoder_of_a_run(run_cli, training) -> None:
    options = ["--architecture", "cnn-rnn", "--encoder", "other"]
    assert run_cli("train", "--recipe", "plain", "--data", "data", "--out", "run", *options).exit_code == 0
    assert training.calls[0][3:] == ("cnn-rnn", Path("other"))
    result = run_cli("train", "--recipe", "plain", "--data", "data", "--out", "run", "--architecture", "transformer")
    assert result.exit_code == 2
    assert "soft-attention" in result.stderr
    assert len(training.calls) == 1


@pytest.mark.parametrize("arguments", [[], ["--recipe", "none"], ["--recipe", "unpaired", "--config", "x.toml"]])
def test_train_wants_one_recipe(run_cli, training, arguments) -> None:
    result = run_cli("train", "--data", "data", "--out", "run", *arguments)
    assert result.exit_code == 2
    assert "unpaired" in result.stderr
    assert training.calls == []


def test_export(run_cli, training) -> None:
    result = run_cli("export", "run", "out")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "export: megabytes 41.5000\nbundle: out\n"
    assert training.calls == [(Path("run"), Path("out"))]
