from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundle_files import edit

from cxreport.errors import BundleError, DeviceError
from cxreport.model import bundle
from cxreport.model.bundle import find_bundle, load_manifest, read_graphs, verify_graphs
from cxreport.model.choices import Architecture
from cxreport.model.encode import encode
from cxreport.model.gpu import cuda
from cxreport.model.session import Model
from cxreport.model.weights import are_finite, external_files


def replace_graph(folder: Path, name: str, content: bytes) -> None:
    """Put other bytes in a graph's place, with their digest in the manifest."""
    (folder / f"{name}.onnx").write_bytes(content)
    edit(folder, lambda raw: raw["graphs"][name].update(sha256=hashlib.sha256(content).hexdigest()))


def size_without_lexicon(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.name != "lexicon.toml")


def test_tiny_bundle_is_small_and_sound(tiny_bundle: Path) -> None:
    assert size_without_lexicon(tiny_bundle) < 100_000
    manifest = load_manifest(tiny_bundle)
    verify_graphs(tiny_bundle, manifest)
    assert manifest.sha256 == hashlib.sha256((tiny_bundle / "model.json").read_bytes()).hexdigest()
    assert len(manifest.tag_names) == 14
    assert manifest.reporting_names[0] == "Pleural Effusion"
    assert manifest.evidence["head"].weights.shape == (6, 14)
    assert manifest.image_size == 32
    assert {"licence", "intended_use", "provenance"} <= manifest.raw.keys()


def test_tiny_captioner_is_small_and_sound(tiny_captioner: Path) -> None:
    assert size_without_lexicon(tiny_captioner) < 100_000
    manifest = load_manifest(tiny_captioner)
    verify_graphs(tiny_captioner, manifest)
    assert set(manifest.graphs) == {"encoder", "caption_step"}
    assert (manifest.captioning, manifest.embeds_texts, manifest.channels) == (True, False, 3)
    assert (manifest.reporting_names, manifest.sizes.reporting_tags, manifest.evidence) == ((), 0, {})
    assert {".", "<impression>"} <= set(manifest.vocabulary)


def test_graphs_by_architecture(tiny_bundle: Path) -> None:
    assert set(load_manifest(tiny_bundle).graphs) == {"encoder", "sentence_step", "word_step", "text_encoder"}
    steps = {a: bundle.graph_names(a, text_encoder=False)[1:] for a in Architecture}
    assert {a for a, names in steps.items() if names == ("caption_step",)} == {"cnn-rnn", "soft-attention"}
    assert sorted(map(len, steps.values())) == [1, 1, 2, 2, 2, 2]


def test_find_bundle(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_bundle(tiny_bundle) == tiny_bundle
    assert find_bundle(str(tiny_bundle)) == tiny_bundle
    with pytest.raises(BundleError, match="no model bundle"):
        find_bundle(tmp_path)
    monkeypatch.setattr(bundle, "__file__", str(tmp_path / "cxreport" / "model" / "bundle.py"))
    with pytest.raises(BundleError, match="missing"):
        find_bundle(None)
    for parent in (tmp_path, tmp_path / "cxreport"):  # a checkout; a wheel, which comes first
        (parent / "exported" / "default").mkdir(parents=True)
        (parent / "exported" / "default" / "model.json").touch()
        assert find_bundle(None) == parent / "exported" / "default"


THRESHOLDS = [
    *((value, "not from 0 to 1") for value in (-0.1, 1000, float("nan"), float("inf"), -(10**300))),
    *((value, "is no number") for value in ("0.5", None, True, [0.5])),
    (10**400, "model.json: "),
]
SHOWN = [
    lambda raw, text: raw.update(name=text),
    lambda raw, text: raw.update(version=text),
    lambda raw, text: raw.update(encoder=text),
    lambda raw, text: raw["tags"][0].update(name=text),
    lambda raw, text: raw["reporting_tags"][0].update(name=text),
    lambda raw, text: raw["vocabulary"].__setitem__(9, text),
    lambda raw, text: raw["extra_words"].__setitem__(0, text),
    lambda raw, text: raw["aliases"].update({text: raw["reporting_tags"][1]["name"]}),
    lambda raw, text: raw["evidence"].update({text: raw["evidence"]["chexnet"]}),
]
"""Changes of what commands show."""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw.update(schema_version=1), "schema version 1"),
        (
            lambda raw: raw.update(schema_version=2),
            r"model\.json: schema version 2; .* reads versions 3, 4 and 5",
        ),
        (lambda raw: raw.update(architecture="transformer"), "unknown architecture 'transformer'"),
        (lambda raw: raw.pop("architecture"), "'architecture' is missing"),
        (lambda raw: raw.update(architecture="cnn-rnn"), "'caption_step' is missing"),
        (lambda raw: raw["graphs"].pop("text_encoder"), "sizes do not fit the graphs"),
        (lambda raw: raw["sizes"].update(patch_embeddings=0), "sizes do not fit the graphs"),
        (lambda raw: raw["sizes"].update(channels=2), "sizes do not fit the graphs"),
        (lambda raw: raw["sizes"].update(channels=3), "preprocessing does not fit"),
        (lambda raw: raw["extra_words"].append("heart"), "listed twice"),
        (lambda raw: raw.pop("extra_words"), "'extra_words' is missing"),
        (lambda raw: raw.pop("vocabulary"), "'vocabulary' is missing"),
        (lambda raw: raw["graphs"].pop("word_step"), "'word_step' is missing"),
        (lambda raw: raw.update(name=3), "'name' has a value of the wrong kind"),
        (lambda raw: raw.update(tags="Effusion"), "'tags' has a value of the wrong kind"),
        (lambda raw: raw["tags"].pop(), "sizes do not fit"),
        (lambda raw: raw["vocabulary"].append("more"), "sizes do not fit"),
        (lambda raw: raw["vocabulary"].__setitem__(5, raw["vocabulary"][6]), "listed twice"),
        (lambda raw: raw["vocabulary"].reverse(), "must begin with <pad>, <end>, <unk>"),
        (lambda raw: raw["aliases"].update(Mass="Tumour"), "alias names an unknown"),
        (lambda raw: raw["evidence"]["head"]["bias"].pop(), "evidence 'head' does not fit"),
        (lambda raw: raw["evidence"]["chexnet"]["inputs"].pop(), "evidence 'chexnet' does not fit"),
        (lambda raw: raw["evidence"]["head"].update(weights=[[1], [2, 3]]), "model.json: "),
        (lambda raw: raw["evidence"]["head"]["marked"].pop(), "evidence 'head' does not fit"),
        (lambda raw: raw["evidence"]["head"]["spread"].__setitem__(2, 0), "spread that is not positive"),
        (lambda raw: raw["detail_words"].pop("prior"), "'prior' is missing"),
        (lambda raw: raw["reporting_tags"][0].update(deniable="yes"), "'deniable' has a value of the wrong kind"),
        (lambda raw: raw["decoding"].update(min_words=99), "decoding lengths"),
        (lambda raw: raw.pop("typicality"), "'typicality' is missing"),
        (lambda raw: raw["typicality"].update(warn=8.0), "limits of typicality"),
        (lambda raw: raw["typicality"].update(refuse=float("nan")), "limits of typicality"),
        (lambda raw: raw["typicality"].update(warn="4"), "'warn' has a value of the wrong kind"),
        (lambda raw: raw["preprocessing"].update(size=64), "preprocessing does not fit"),
        (lambda raw: raw["graphs"]["encoder"].update(file="../encoder.onnx"), "outside the bundle"),
        (lambda raw: raw.update(sizes=None), "model.json: "),
        *((lambda raw, value=value: raw["tags"][2].update(threshold=value), message) for value, message in THRESHOLDS),
        *(
            (lambda raw, name=name: raw["evidence"]["head"][name].__setitem__(0, float("nan")), "are not finite")
            for name in ("bias", "thresholds", "mild", "marked", "usual", "spread")
        ),
        (lambda raw: raw["evidence"]["head"]["weights"][0].__setitem__(0, float("nan")), "are not finite"),
        (lambda raw: raw["evidence"]["head"]["weights"][0].__setitem__(0, 1e300), "are not finite"),
        (lambda raw: raw["evidence"]["head"]["weights"][0].__setitem__(0, 10**400), "model.json: "),
        (lambda raw: raw["evidence"]["head"]["thresholds"].__setitem__(0, 1.5), "not from 0 to 1"),
        (lambda raw: raw["evidence"]["head"]["mild"].__setitem__(0, -0.1), "not from 0 to 1"),
        (lambda raw: raw["evidence"]["head"]["inputs"].__setitem__(1, "x"), "names an unknown tag"),
        (lambda raw: raw["evidence"]["head"]["inputs"].__setitem__(1, 3), "is no text"),
        (lambda raw: raw["vocabulary"].__setitem__(5, ["heart"]), "is no text"),
        (lambda raw: raw["reporting_tags"][0].update(place=float("nan")), "place of a reporting tag"),
        (lambda raw: raw["typicality"].update(refuse=float("inf")), "limits of typicality"),
        (lambda raw: raw["decoding"].update(max_words=10**9), "decoding lengths"),
        (lambda raw: raw["decoding"].update(max_sentences=10**9), "decoding lengths"),
        (lambda raw: raw["decoding"].update(denials=-1), "decoding lengths"),
        (lambda raw: raw["sizes"].update(image=10**6), "out of range"),
        (lambda raw: raw["sizes"].update(hidden=-1), "out of range"),
        (lambda raw: raw["graphs"]["word_step"].update(file="\0"), "outside the bundle"),
        (lambda raw: raw["graphs"]["word_step"].update(file="a\nb"), "outside the bundle"),
        *((lambda raw, change=change: change(raw, "\x1b[31mred"), "cannot be printed") for change in SHOWN),
        *((lambda raw, change=change: change(raw, "\u202egnp"), "cannot be printed") for change in SHOWN),
    ],
)
def test_contradicting_manifest(copy: Path, change: Callable[[dict[str, Any]], Any], message: str) -> None:
    edit(copy, change)
    with pytest.raises(BundleError, match=message):
        load_manifest(copy)


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe", b"null", b"[" * 100_000, b'{"a":' * 100_000])
def test_manifest_that_is_no_json_object(copy: Path, content: bytes) -> None:
    (copy / "model.json").write_bytes(content)
    with pytest.raises(BundleError):
        load_manifest(copy)


def test_missing_and_altered_graphs(copy: Path) -> None:
    manifest = load_manifest(copy)
    path = copy / "word_step.onnx"
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"word_step\.onnx: altered or damaged"):
        verify_graphs(copy, manifest)
    with pytest.raises(BundleError, match="altered"):
        Model.load(copy, "cpu")
    path.unlink()
    with pytest.raises(BundleError, match="cannot be read"):
        Model.load(copy, "cpu")


def test_graphs_that_do_not_load_or_fit(copy: Path) -> None:
    content = (copy / "word_step.onnx").read_bytes()
    replace_graph(copy, "word_step", content[: len(content) // 2])
    with pytest.raises(BundleError, match="cannot load"):
        Model.load(copy, "cpu")
    replace_graph(copy, "word_step", (copy / "sentence_step.onnx").read_bytes())
    with pytest.raises(BundleError, match="word_step does not fit"):
        Model.load(copy, "cpu")


def test_sizes_that_the_graphs_do_not_have(copy: Path) -> None:
    edit(copy, lambda raw: raw["sizes"].update(patches=9))
    with pytest.raises(BundleError, match="encoder does not fit"):
        Model.load(copy, "cpu")


@pytest.mark.parametrize("name", ["patch_embeddings", "embedding"])
def test_embedded_patches_that_the_graphs_do_not_have(copy: Path, name: str) -> None:
    edit(copy, lambda raw: raw["sizes"].update({name: 9}))
    with pytest.raises(BundleError, match="encoder does not fit"):
        Model.load(copy, "cpu")


def test_a_captioner_of_another_architecture(tiny_captioner: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_captioner, tmp_path / "captioner"))
    edit(folder, lambda raw: raw.update(architecture="cnn-rnn"))
    with pytest.raises(BundleError, match="caption_step does not fit"):
        Model.load(folder, "cpu")


def test_texts_need_a_text_encoder(tiny_captioner: Path) -> None:
    with pytest.raises(BundleError, match="no text encoder") as caught:
        Model.load(tiny_captioner, "cpu").encode_text(np.array([[3, 4]]))
    assert "[joint]" in caught.value.hint


def test_cuda_that_does_not_work(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "has_driver", lambda: False)
    with pytest.raises(DeviceError, match="CUDA does not work"):
        Model.load(tiny_bundle, "cuda")
    assert Model.load(tiny_bundle, "auto").device == "cpu"


@pytest.mark.parametrize("pretend", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["as it is", "no driver"])
def test_choosing_the_device_is_silent(tiny_bundle: Path, pretend: bool) -> None:
    lines = [
        "from pathlib import Path",
        "from cxreport.model import session",
        "from cxreport.model.gpu import cuda",
        "cuda.has_driver = lambda: True" if pretend else "",
        f"assert session.Model.load(Path({str(tiny_bundle)!r}), 'auto').device in ('cpu', 'cuda')",
        "assert session.providers_present()",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_calls_of_a_fixed_number_of_rows(tiny_bundle: Path) -> None:
    """The way of GPUs: every call has the same number of rows, the last one filled up."""
    free, fixed = Model.load(tiny_bundle, "cpu"), Model.load(tiny_bundle, "cpu")
    fixed._rows = {"encoder": 3, "word_step": 4}
    random = np.random.default_rng(3)
    images = random.integers(0, 256, (7, 1, 32, 32), np.uint8)
    topics, state = random.normal(size=(7, 24)).astype(np.float32), np.zeros((7, 24), np.float32)
    words = random.integers(-1, 40, 7)
    for a, b in zip(free.encode_batch(images), fixed.encode_batch(images), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    for a, b in zip(
        free.word_step(topics, words, state, state), fixed.word_step(topics, words, state, state), strict=True
    ):
        assert len(a) == len(b) == 7
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def certain(raw: dict[str, Any]) -> None:
    """Make a manifest one of schema 5, with limits of certainty in one source."""
    count = len(raw["reporting_tags"])
    raw["schema_version"] = 5
    raw["decoding"] |= {
        "exact": True,
        "findings_denials": [["Pleural Effusion", "Pneumothorax"]],
        "impression_denials": [],
    }
    limits = {"certain": 0.9, "absent": 0.1, "sensitive": 0.3, "specific": 0.7}
    raw["evidence"]["head"] |= {name: [value] * count for name, value in limits.items()}


def test_limits_of_certainty_are_read(tiny_bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, folder)
    edit(folder, certain)
    manifest = load_manifest(folder)
    head, chexnet = manifest.evidence["head"], manifest.evidence["chexnet"]
    assert head.limits is not None
    assert head.limits.certain.tolist() == [np.float32(0.9)] * 6
    assert chexnet.limits is None
    assert manifest.decoding.exact
    assert manifest.decoding.findings_denials == (("Pleural Effusion", "Pneumothorax"),)
    assert {"certain", "absent", "sensitive", "specific"} <= head.arrays.keys()
    old = load_manifest(tiny_bundle)
    assert (old.decoding.exact, old.evidence["head"].limits) == (False, None)


def test_limits_may_be_ones_that_no_probability_reaches(tiny_bundle: Path, tmp_path: Path) -> None:
    """Training gives them to a tag that is never told, or never denied."""
    folder = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, folder)
    edit(folder, certain)
    never = {name: [1.01] * 6 for name in ("thresholds", "certain", "sensitive", "specific")} | {"absent": [-0.01] * 6}
    edit(folder, lambda raw: raw["evidence"]["head"].update(never))
    limits = load_manifest(folder).evidence["head"].limits
    assert limits is not None
    assert (limits.certain > 1).all()
    assert (limits.absent < 0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw["evidence"]["head"].pop("absent"), "'absent' is missing"),
        (lambda raw: raw["evidence"]["head"]["certain"].pop(), "evidence 'head' does not fit"),
        (lambda raw: raw["evidence"]["head"].update(absent=[0.9] * 6), "evidence 'head' denies what it tells"),
        (lambda raw: raw["evidence"]["head"]["certain"].__setitem__(0, float("nan")), "numbers that are not finite"),
        (lambda raw: raw["evidence"]["head"]["specific"].__setitem__(0, 10**40), "numbers that are not finite"),
        (lambda raw: raw["evidence"]["head"]["sensitive"].__setitem__(0, 1.5), "not from 0 to 1"),
        (lambda raw: raw["evidence"]["head"]["absent"].__setitem__(0, -0.5), "not from 0 to 1"),
        (lambda raw: raw["evidence"]["head"]["thresholds"].__setitem__(0, 2), "not from 0 to 1"),
        (lambda raw: raw["decoding"].update(impression_denials=[[1]]), "1 is no text"),
        (lambda raw: raw["decoding"].pop("exact"), "'exact' is missing"),
        (lambda raw: raw["decoding"].update(findings_denials=[["Rib"]]), "a denial names an unknown reporting tag"),
    ],
)
def test_contradicting_limits(
    change: Callable[[dict[str, Any]], object], message: str, tiny_bundle: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, folder)
    edit(folder, certain)
    edit(folder, change)
    with pytest.raises(BundleError, match=message):
        load_manifest(folder)


# Weights that no digest vouches for


def message(number: int, content: bytes) -> bytes:
    """A field of a protobuf message that has a length."""
    length, size = len(content), bytearray()
    while length > 0x7F:
        size.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([number << 3 | 2, *size, length]) + content


def graph_with(tensor: bytes, place: str) -> bytes:
    """A graph that has a tensor as an initializer, or in an attribute of a node, or there in a graph of its own."""
    in_attribute = message(1, message(5, message(1, b"value") + message(5, tensor)))
    in_subgraph = message(1, message(5, message(1, b"body") + message(6, message(5, tensor))))
    sparse = message(15, message(1, tensor))
    return {"initializer": message(5, tensor), "node": in_attribute, "subgraph": in_subgraph, "sparse": sparse}[place]


@pytest.mark.parametrize("place", ["initializer", "node", "subgraph", "sparse"])
@pytest.mark.parametrize("location", ["weights.bin", "../weights.bin", "/etc/hostname", "encoder.onnx"])
def test_weights_in_a_file_without_a_digest_are_refused(
    copy: Path, monkeypatch: pytest.MonkeyPatch, place: str, location: str
) -> None:
    """ONNX Runtime would read it from the working folder."""
    (copy.parent / "weights.bin").write_bytes(b"\0" * 4)
    monkeypatch.chdir(copy.parent)
    entry = message(13, message(1, b"location") + message(2, location.encode()))
    tensor = bytes([1 << 3, 1, 2 << 3, 1]) + message(8, b"w") + entry + bytes([14 << 3, 1])
    content = (copy / "word_step.onnx").read_bytes() + message(7, graph_with(tensor, place))  # parts of a graph merge
    assert external_files(content) == {location}
    replace_graph(copy, "word_step", content)
    with pytest.raises(BundleError, match="weights from a file outside the bundle"):
        Model.load(copy, "cpu")


def test_graphs_name_only_the_graph_whose_weights_they_share(tiny_bundle: Path) -> None:
    for path in tiny_bundle.glob("*.onnx"):
        assert external_files(path.read_bytes()) == set()
    shipped = find_bundle(None)
    assert external_files((shipped / "encoder_fp16.onnx").read_bytes()) == {"encoder.onnx"}


@pytest.mark.parametrize("content", [b"\x3a", b"\x3a\xff", b"\x3b", b"\xff" * 20, message(7, message(1, b"\x2a\x7f"))])
def test_what_is_no_graph_has_no_files(content: bytes) -> None:
    with pytest.raises(ValueError, match="graph"):
        external_files(content)


def packed(values: list[int]) -> bytes:
    """16-bit patterns as a packed field of numbers has them: 3 bytes of 7 bits."""
    return b"".join(bytes([value & 0x7F | 0x80, value >> 7 & 0x7F | 0x80, value >> 14]) for value in values)


TENSORS = {
    "float32": (1, lambda x: message(9, np.array([1, x, 2], "<f4").tobytes())),
    "float32, listed": (1, lambda x: message(4, np.array([1, x, 2], "<f4").tobytes())),
    "float32, one by one": (1, lambda x: b"".join(bytes([4 << 3 | 5]) + np.float32(y).tobytes() for y in (1, x))),
    "float64": (11, lambda x: message(9, np.array([1, x, 2], "<f8").tobytes())),
    "float64, listed": (11, lambda x: message(10, np.array([1, x, 2], "<f8").tobytes())),
    "float16": (10, lambda x: message(9, np.array([1, x, 2], "<f2").tobytes())),
    "float16, listed": (10, lambda x: message(5, packed(np.array([1, x, 2], "<f2").view("<u2").tolist()))),
    "float16, one by one": (
        10,
        lambda x: b"".join(bytes([5 << 3]) + packed([y]) for y in np.array([x, 2], "<f2").view("<u2").tolist()),
    ),
    "bfloat16": (16, lambda x: message(9, (np.array([1, x, 2], "<f4").view("<u4") >> 16).astype("<u2").tobytes())),
    "bfloat16, listed": (16, lambda x: message(5, packed((np.array([1, x], "<f4").view("<u4") >> 16).tolist()))),
}
"""How a tensor with three elements may be stored -> its type in ONNX, and its elements with one of them."""


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")], ids=str)
@pytest.mark.parametrize("place", ["initializer", "node", "subgraph", "sparse"])
@pytest.mark.parametrize("stored", TENSORS)
def test_weights_that_are_not_finite_are_refused(copy: Path, stored: str, place: str, value: float) -> None:
    kind, elements = TENSORS[stored]
    for sound in (1.5, -3.0):
        tensor = bytes([1 << 3, 3, 2 << 3, kind]) + message(8, b"w") + elements(sound)
        assert are_finite(message(7, graph_with(tensor, place)))
    tensor = bytes([1 << 3, 3, 2 << 3, kind]) + message(8, b"w") + elements(value)
    content = (copy / "encoder.onnx").read_bytes() + message(7, graph_with(tensor, place))
    replace_graph(copy, "encoder", content)
    with pytest.raises(BundleError, match=r"encoder\.onnx: the graph has weights that are infinite or no numbers"):
        read_graphs(copy, load_manifest(copy))


@pytest.mark.parametrize(("value", "is_mask"), [(float("-inf"), True), (float("inf"), False), (float("nan"), False)])
@pytest.mark.parametrize(("kind", "type_"), [(1, "<f4"), (10, "<f2"), (11, "<f8")])
def test_one_negative_infinity_alone_is_a_mask(kind: int, type_: str, value: float, is_mask: bool) -> None:
    """Graphs fill with it what a softmax is to leave out."""
    tensor = bytes([2 << 3, kind]) + message(9, np.array([value], type_).tobytes())
    assert are_finite(message(7, graph_with(tensor, "node"))) == is_mask


def test_a_quantised_graph_is_looked_over_too() -> None:
    """Its weights are whole numbers, their scales have fractions."""
    path = find_bundle(None) / "int8" / "encoder.onnx"
    content = path.read_bytes()
    scale = bytes([2 << 3, 1]) + message(8, b"scale") + message(9, np.array([np.inf], "<f4").tobytes())
    assert are_finite(content)
    assert not are_finite(content + message(7, message(5, scale)))


def test_whole_numbers_are_never_taken_for_fractions() -> None:
    tensor = bytes([1 << 3, 1, 2 << 3, 3]) + message(9, np.array([np.nan], "<f4").tobytes())  # int8, 4 of them
    assert are_finite(message(7, message(5, tensor)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 70_000, 199_999])
def test_one_weight_of_many_is_found(place: int, value: float) -> None:
    array = np.ones(200_000, "<f4")
    graphs = []
    for number in (1, value):
        array[place] = number
        raw = array.tobytes()
        size = bytes([len(raw) & 0x7F | 0x80, len(raw) >> 7 & 0x7F | 0x80, len(raw) >> 14])
        tensor = bytes([2 << 3, 1, 9 << 3 | 2]) + size + raw
        graphs.append(message(7, message(5, tensor)))
    assert [are_finite(graph) for graph in graphs] == [True, False]


def test_weights_that_are_no_numbers_end_the_run(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not study after study, each with an error of its own."""
    model = Model.load(tiny_bundle, "cpu")
    output = model.encode_batch(np.zeros((1, 1, 32, 32), np.uint8))
    broken = output._replace(probabilities=np.full_like(output.probabilities, np.nan))
    monkeypatch.setattr(Model, "encode_batch", lambda *_: broken)
    with pytest.raises(BundleError, match="no numbers"):
        encode(model, [np.zeros((32, 32), np.uint8)])
