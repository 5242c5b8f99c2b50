from __future__ import annotations

import json
import os
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from retrieval_fakes import WIDTH, FakeModel, random_units, unit, without_texts

from cxreport.datasets.report_files import WrittenReport
from cxreport.errors import BundleError, RetrievalIndexError
from cxreport.retrieval import index_file
from cxreport.retrieval.embed import embed_reports, embed_texts
from cxreport.retrieval.index import Index, open_index
from cxreport.retrieval.index_file import Entry, IndexWriter
from cxreport.types import Failure


@pytest.fixture(scope="module")
def model(tiny_bundle: Path) -> FakeModel:
    return FakeModel.load(tiny_bundle)


def report(number: int, embedding: np.ndarray, **fields: str) -> Entry:
    return Entry("report", f"r{number}", "in.jsonl", embedding, **{"findings": f"Text {number}."} | fields)


def write(path: Path, model: FakeModel, entries: list[Entry]) -> Index:
    with IndexWriter(path, model.manifest) as writer:
        for entry in entries:
            writer.add(entry)
    return open_index(path, model.manifest)


def ids_near(index: Index, query: np.ndarray, count: int) -> dict[str, list[str]]:
    return {kind: [match.id for match in matches] for kind, matches in index.search(query, count).items()}


# The file


def test_entries_are_read_as_written(tmp_path: Path, model) -> None:
    vectors = random_units(3)
    text = 'Größe "quoted"\nnext line, with a \\.'
    entries = [
        report(0, vectors[0], findings=text, impression="None."),
        Entry("image", "i", "dir/Ü.png", vectors[1]),
        report(2, vectors[2], findings=""),
    ]
    index = write(tmp_path / "x.index", model, entries)
    assert index.counts == {"report": 2, "image": 1}
    np.testing.assert_array_equal(index.file.embedding(0, 3), vectors)
    (first, second), (image,) = index.search(vectors[0], 5).values()
    assert (first.id, first.findings, first.impression, first.source) == ("r0", text, "None.", "in.jsonl")
    assert first.similarity == pytest.approx(1)
    assert second.findings == ""
    assert (image.kind, image.id, image.source) == ("image", "i", "dir/Ü.png")
    assert [path.name for path in tmp_path.iterdir()] == ["x.index"]


@pytest.mark.parametrize("kept", [1, 1 << 30], ids=["many", "few"])
def test_embeddings_by_parts_and_at_once(tmp_path: Path, model, monkeypatch, kept: int) -> None:
    monkeypatch.setattr(index_file, "_KEPT_BYTES", kept)
    monkeypatch.setattr(index_file, "BLOCK_BYTES", 4 * WIDTH * 7)
    vectors = random_units(50)
    index = write(tmp_path / "x", model, [report(n, vector) for n, vector in enumerate(vectors)])
    for _ in range(2):
        blocks = [(first, block.copy()) for first, block in index.file.embeddings()]
        assert [first for first, _ in blocks] == ([0] if kept > 1 else [*range(0, 50, 7)])
        np.testing.assert_array_equal(np.concatenate([block for _, block in blocks]), vectors)
    assert ids_near(index, vectors[23], 1)["report"] == ["r23"]


def test_the_embeddings_stay_on_disk_until_they_are_searched(tmp_path: Path, model) -> None:
    vectors = random_units(20_000)
    write(tmp_path / "x", model, [report(n, vector) for n, vector in enumerate(vectors)])
    tracemalloc.start()
    index = open_index(tmp_path / "x", model.manifest)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < vectors.nbytes / 2
    np.testing.assert_array_equal(np.concatenate([block.copy() for _, block in index.file.embeddings()]), vectors)


@pytest.mark.parametrize("count", [1, 2])
def test_the_safetensors_library_reads_the_file(tmp_path: Path, model, count: int) -> None:
    """Of an odd number of numbers too, behind which nothing is aligned."""
    safetensors = pytest.importorskip("safetensors.numpy")
    vectors = random_units(count)
    write(tmp_path / "x", model, [report(n, vector) for n, vector in enumerate(vectors)])
    tensors = safetensors.load_file(tmp_path / "x")
    assert {name: (str(t.dtype), t.shape) for name, t in tensors.items() if name != "text"} == {
        "embeddings": ("float32", (count, WIDTH)),
        "text_offsets": ("int64", (count + 1,)),
        "kind": ("uint8", (count,)),
    }
    np.testing.assert_array_equal(tensors["embeddings"], vectors)
    start, end = tensors["text_offsets"][:2]
    assert json.loads(tensors["text"][start:end].tobytes())["id"] == "r0"


def test_a_build_that_fails_leaves_the_earlier_index(tmp_path: Path, model) -> None:
    path = tmp_path / "x"
    write(path, model, [report(1, random_units(1)[0])])
    content = path.read_bytes()
    with pytest.raises(ValueError, match="shape"):
        write(path, model, [report(2, random_units(1)[0]), report(3, np.ones(3, np.float32))])
    assert path.read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == ["x"]


def test_another_bundle_is_refused(tmp_path: Path, model) -> None:
    write(tmp_path / "x", model, [report(1, random_units(1)[0])])
    with pytest.raises(RetrievalIndexError, match="built with another bundle, tiny"):
        open_index(tmp_path / "x", replace(model.manifest, sha256="1" * 64))
    with pytest.raises(BundleError, match="no text encoder"):
        open_index(tmp_path / "x", without_texts(model.real.manifest))


def small(model: FakeModel, folder: Path) -> tuple[Path, bytes]:
    path = folder / "small"
    entries = [report(n, vector) for n, vector in enumerate(random_units(4))]
    write(path, model, [*entries, Entry("image", "i", "i.png", random_units(1, 5)[0])])
    return path, path.read_bytes()


def test_every_truncation_is_refused(tmp_path: Path, model) -> None:
    path, content = small(model, tmp_path)
    for length in [*range(0, 20), *range(20, len(content), 37), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(RetrievalIndexError):
            open_index(path)
    path.write_bytes(content + b"\0")
    with pytest.raises(RetrievalIndexError, match="longer or shorter"):
        open_index(path)


@pytest.mark.slow
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_changed_byte_never_crashes(tmp_path: Path, model, data) -> None:
    path, content = small(model, tmp_path)
    changed = bytearray(content)
    place = data.draw(st.integers(0, len(content) - 1))
    changed[place] = data.draw(st.integers(0, 255))
    path.write_bytes(changed)
    try:
        matches = open_index(path).search(random_units(1)[0], 9)
    except RetrievalIndexError:
        return
    assert sum(map(len, matches.values())) == 5


def altered(content: bytes, change) -> bytes:
    """The same file with another header."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    change(header)
    made = json.dumps(header).encode()
    return len(made).to_bytes(8, "little") + made + content[8 + length :]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h["__metadata__"].update(format_version="2"), "format version 2"),
        (lambda h: h["__metadata__"].update(format="other"), "no index"),
        (lambda h: h.pop("__metadata__"), "no index"),
        (lambda h: h["__metadata__"].pop("bundle_sha256"), "no index"),
        (lambda h: h["embeddings"].update(dtype="F64"), "no index"),
        (lambda h: h["embeddings"].update(shape=[10**15, WIDTH]), "no index"),
        (lambda h: h["embeddings"].update(shape=[-5, -WIDTH]), "no index"),
        (lambda h: h["embeddings"].update(shape=[5.0, WIDTH]), "no index"),
        (lambda h: h["embeddings"].update(shape=[5]), "no index"),
        (lambda h: h["kind"].update(data_offsets=[0, 5]), "no index"),
        (lambda h: h["text"].update(shape=[10**17]), "no index"),
        (lambda h: h.update(more={"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}), "no index"),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path: Path, model, change, message: str) -> None:
    path, content = small(model, tmp_path)
    path.write_bytes(altered(content, lambda header: None))
    open_index(path)
    path.write_bytes(altered(content, change))
    with pytest.raises(RetrievalIndexError, match=message):
        open_index(path)


@pytest.mark.parametrize("tensor", ["embeddings", "text_offsets", "kind", "text"])
def test_damaged_tensors_are_refused(tmp_path: Path, model, tensor: str) -> None:
    path, content = small(model, tmp_path)
    length = 8 + int.from_bytes(content[:8], "little")
    begin, end = (length + offset for offset in json.loads(content[8:length])[tensor]["data_offsets"])
    path.write_bytes(content[:begin] + b"\xff" * (end - begin) + content[end:])
    with pytest.raises(RetrievalIndexError, match="damaged"):
        open_index(path).search(random_units(1)[0], 5)


def test_a_path_without_a_file_is_no_index(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(RetrievalIndexError, match="no index there"):
            open_index(path)


# The digest, and files that change under the search


def test_the_content_has_a_digest(tmp_path: Path, model) -> None:
    path, content = small(model, tmp_path)
    file = open_index(path).file
    assert len(file.sha256) == 64
    file.check()
    assert small(model, tmp_path)[1] == content


@pytest.mark.parametrize("tensor", ["embeddings", "text_offsets", "kind", "text"])
def test_a_changed_bit_shows_when_it_is_looked_for(tmp_path: Path, model, tensor: str) -> None:
    path, content = small(model, tmp_path)
    length = 8 + int.from_bytes(content[:8], "little")
    begin, end = (length + offset for offset in json.loads(content[8:length])[tensor]["data_offsets"])
    for place in range(begin, end, 3):
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        with pytest.raises(RetrievalIndexError, match="damaged"):
            open_index(path).file.check()


def test_a_changed_name_of_the_bundle_shows_too(tmp_path: Path, model) -> None:
    path, content = small(model, tmp_path)
    path.write_bytes(altered(content, lambda header: header["__metadata__"].update(bundle_version="9")))
    with pytest.raises(RetrievalIndexError, match="altered or damaged"):
        open_index(path).file.check()


def test_an_index_without_a_digest_is_read(tmp_path: Path, model) -> None:
    path, content = small(model, tmp_path)
    path.write_bytes(altered(content, lambda header: header["__metadata__"].pop("sha256")))
    opened = open_index(path)
    assert opened.search(random_units(1)[0], 1)
    with pytest.raises(RetrievalIndexError, match="no digest"):
        opened.file.check()


def test_an_index_is_read_back_before_it_is_put_in_place(tmp_path: Path, model, monkeypatch) -> None:
    monkeypatch.setattr("cxreport.retrieval.index_file.IndexFile.check", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        small(model, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("length", [0, 100, 1000, -1])
def test_a_file_that_becomes_shorter_is_refused(tmp_path: Path, model, length: int) -> None:
    """A mapped one would end the process."""
    path = tmp_path / "x"
    opened = write(path, model, [report(n, vector) for n, vector in enumerate(random_units(3000))])
    query = random_units(1)[0]
    assert opened.search(query, 1)
    os.truncate(path, length if length >= 0 else path.stat().st_size - 1)
    with pytest.raises(RetrievalIndexError, match="changed while it was searched"):
        opened.search(query, 1)


def test_a_file_that_is_written_over_is_refused(tmp_path: Path, model) -> None:
    path = tmp_path / "x"
    vectors = random_units(30)
    write(tmp_path / "y", model, [report(n, vector) for n, vector in enumerate(vectors[::-1])])
    opened = write(path, model, [report(n, vector) for n, vector in enumerate(vectors)])
    os.utime(path, (1, 1))
    opened = open_index(path)
    path.write_bytes((tmp_path / "y").read_bytes())
    with pytest.raises(RetrievalIndexError, match="changed while it was searched"):
        opened.search(vectors[0], 1)


def test_a_file_that_is_replaced_is_read_to_its_end(tmp_path: Path, model) -> None:
    vectors = random_units(30)
    opened = write(tmp_path / "x", model, [report(n, vector) for n, vector in enumerate(vectors)])
    write(tmp_path / "x", model, [report(n, vector) for n, vector in enumerate(vectors[::-1])])
    assert ids_near(opened, vectors[4], 1)["report"] == ["r4"]


def test_two_builds_at_once_do_not_mix(tmp_path: Path, model, monkeypatch) -> None:
    vectors, pids = random_units(20), iter([11, 12])
    monkeypatch.setattr("cxreport.retrieval.index_file.os.getpid", lambda: next(pids))
    with IndexWriter(tmp_path / "x", model.manifest) as first, IndexWriter(tmp_path / "x", model.manifest) as second:
        for number in range(10):
            first.add(report(number, vectors[number]))
            second.add(report(number + 10, vectors[number + 10]))
    opened = open_index(tmp_path / "x")
    opened.file.check()
    assert sorted(ids_near(opened, vectors[0], 99)["report"]) == sorted(f"r{n}" for n in range(10))
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


# The search


@pytest.mark.parametrize("count", [1, 3, 7, 1000])
def test_the_nearest_come_first_for_each_kind(tmp_path: Path, model, count: int) -> None:
    vectors, query = random_units(200), random_units(1, 9)[0]
    entries = [Entry("image" if n % 3 else "report", str(n), "s", vector) for n, vector in enumerate(vectors)]
    index = write(tmp_path / "x", model, entries)
    order = [int(n) for n in np.argsort(-(vectors.astype(np.float64) @ query))]
    assert ids_near(index, query, count) == {
        "report": [str(n) for n in order if n % 3 == 0][:count],
        "image": [str(n) for n in order if n % 3][:count],
    }
    assert index.search(query, count, ["image"]).keys() == {"image"}


@pytest.mark.parametrize("rows", [5, 4097, 9001])
def test_ties_keep_the_order_of_the_entries(tmp_path: Path, model, rows: int) -> None:
    """A matrix product may give equal rows other last bits where its kernels meet."""
    same, far = random_units(1)[0], -random_units(1)[0]
    index = write(tmp_path / "x", model, [report(0, far), *(report(n, same) for n in range(1, rows))])
    query = unit(same + random_units(1, 3)[0])
    assert ids_near(index, query, 4)["report"] == ["r1", "r2", "r3", "r4"]
    assert ids_near(index, query, rows)["report"] == [f"r{n}" for n in [*range(1, rows), 0]]


def test_no_entry_of_a_kind_is_no_match(tmp_path: Path, model) -> None:
    index = write(tmp_path / "x", model, [report(1, random_units(1)[0])])
    assert ids_near(index, random_units(1)[0], 3) == {"report": ["r1"], "image": []}


def test_a_query_of_another_width_is_refused(tmp_path: Path, model) -> None:
    index = write(tmp_path / "x", model, [report(1, random_units(1)[0])])
    with pytest.raises(RetrievalIndexError, match="another length"):
        index.search(np.ones(3, np.float32), 1)


def test_embeddings_that_are_no_unit_vectors_are_refused(model, monkeypatch) -> None:
    monkeypatch.setattr(model, "encode_text", lambda ids: np.ones((len(ids), WIDTH), np.float32), raising=False)
    with pytest.raises(BundleError, match="length of 1"):
        embed_texts(model, ["pleural effusion"])


@pytest.mark.parametrize("size", [1, 2, 50])
def test_reports_are_embedded_whatever_their_batch(model, size: int) -> None:
    texts = ["the heart is normal", "no pleural effusion", "qqq", "clear lungs", "pneumothorax"]
    reports = [WrittenReport(str(n), "s", text, "") for n, text in enumerate(texts)]
    outcomes = list(embed_reports(model, reports, size))
    (failed,) = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    assert (failed.id, failed.error.code) == ("2", "invalid-text")
    entries = {outcome.id: outcome.embedding for outcome in outcomes if isinstance(outcome, Entry)}
    assert list(entries) == ["0", "1", "3", "4"]
    np.testing.assert_allclose(entries["1"], embed_texts(model, ["no pleural effusion"])[0], atol=1e-6)
