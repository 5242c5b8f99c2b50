"""What runs on a GPU, on the CPU as far as it goes there; the rest is skipped without one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from places import SHARED

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("torch")

from cxreport.drafting.beam import search  # noqa: E402
from cxreport.drafting.decode import decode  # noqa: E402
from cxreport.drafting.plan import make_plan  # noqa: E402
from cxreport.drafting.word_scores import TopicScorer  # noqa: E402
from cxreport.errors import BundleError, DeviceError, UsageError  # noqa: E402
from cxreport.model import precision, session  # noqa: E402
from cxreport.model.bundle import find_bundle, load_manifest, read_graphs  # noqa: E402
from cxreport.model.encode import encode  # noqa: E402
from cxreport.model.gpu import cuda  # noqa: E402
from cxreport.model.gpu.word_search import write_greedily  # noqa: E402
from cxreport.model.manifest import GPU_GRAPHS, WORD_SEARCH  # noqa: E402
from cxreport.model.session import Model  # noqa: E402
from cxreport.model.signatures import signatures  # noqa: E402
from cxreport.model.texts import TextLimits, WrittenText  # noqa: E402
from cxreport.reading.network_input import network_input  # noqa: E402
from cxreport.text.vocabulary import END, NO_WORD  # noqa: E402
from cxreport.train.export.gpu_graphs import make_gpu_graphs  # noqa: E402
from cxreport.train.export.gpu_parity import MAX_CHANGE, as_on_a_gpu  # noqa: E402
from cxreport.train.export.write_bundle import write_files  # noqa: E402
from cxreport.types import Encoding, Pixels  # noqa: E402

needs_gpu = pytest.mark.skipif(not session.has_cuda(), reason="no GPU")
NIH = SHARED / "data" / "nih" / "images"


def with_gpu_graphs(source: Path, folder: Path) -> Path:
    """A copy of a bundle with graphs for GPUs, made as `cxreport export` makes them."""
    shutil.copytree(source, folder)
    manifest = load_manifest(folder)
    graphs = read_graphs(folder, manifest)
    files = {name: graph.file for name, graph in manifest.graphs.items()}
    ports = signatures(manifest.sizes, manifest.architecture, manifest.embeds_texts)
    write_files(folder, graphs | make_gpu_graphs(graphs, files, ports), manifest.lexicon, manifest.raw)
    return folder


@pytest.fixture(scope="module")
def folder(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_gpu_graphs(tiny_bundle, tmp_path_factory.mktemp("gpu") / "bundle")


def bound(folder: Path, rows: int | None = None) -> Model:
    """A bundle on the CPU with the steps that a GPU has, in calls of a number of rows."""
    model = Model.load(folder, "cpu").with_word_search(read_graphs(folder, load_manifest(folder)))
    assert WORD_SEARCH in model._sessions
    model.bound_steps = frozenset({"sentence_step", WORD_SEARCH})
    if rows is not None:
        model._rows = {**model._rows, "sentence_step": rows, WORD_SEARCH: rows}
    return model


def limits_of(model: Model, **changed: object) -> TextLimits:
    lengths = model.manifest.decoding
    return replace(TextLimits(1, lengths.min_words, lengths.max_words, model.manifest.long_words), **changed)


def compare(actual: list[WrittenText], expected: list[WrittenText]) -> None:
    assert [w.ids for w in actual] == [w.ids for w in expected]
    np.testing.assert_allclose(
        [w.log_probability for w in actual], [w.log_probability for w in expected], rtol=1e-5, atol=1e-4
    )


def pictures(number: int, size: int) -> list[Pixels]:
    random = np.random.default_rng(11)
    return [network_input(random.integers(0, 256, (5, 5), np.uint8), size) for _ in range(number)]


def studies(model: Model) -> list[Encoding]:
    """With images and without."""
    random, names = np.random.default_rng(12), model.manifest.tag_names
    with_image = encode(model, pictures(7, model.manifest.image_size))
    tags = [dict(zip(names, random.random(len(names)).tolist(), strict=True)) for _ in range(7)]
    return [e for image, t in zip(with_image, tags, strict=True) for e in (image, Encoding(t, None, None))]


def test_the_graphs_are_small_and_hold_no_big_weights(folder: Path) -> None:
    manifest = load_manifest(folder)
    assert set(GPU_GRAPHS) <= manifest.graphs.keys()
    for name in GPU_GRAPHS:
        graph = onnx.load_from_string((folder / manifest.graphs[name].file).read_bytes()).graph
        inside = [i for i in graph.initializer if i.data_location != onnx.TensorProto.EXTERNAL]
        assert max(np.prod(i.dims) for i in inside) < 512
        assert all(i.type.tensor_type.elem_type != onnx.TensorProto.FLOAT16 for i in (*graph.input, *graph.output))


def test_all_of_the_word_search_has_kernels_for_cuda(folder: Path) -> None:
    """By ONNX Runtime's docs/OperatorKernels.md, for opset 17 and these types; none of it is control flow."""
    cuda_operators = {
        *("Add", "And", "Cast", "Clip", "Concat", "Constant", "Equal", "Gather", "Gemm", "Greater", "LogSoftmax"),
        *("MatMul", "Max", "Mul", "Not", "Or", "ReduceMax", "ReduceMin", "ScatterElements", "Sigmoid", "Slice"),
        *("Split", "Squeeze", "Tanh", "Transpose", "Unsqueeze", "Where"),
    }
    model = onnx.load_from_string((folder / "word_search.onnx").read_bytes())
    assert {n.op_type for n in model.graph.node} <= cuda_operators
    assert [o.version for o in model.opset_import] == [17]


def test_making_the_graphs_again_gives_the_same_bytes(tiny_bundle: Path, folder: Path, tmp_path: Path) -> None:
    again = with_gpu_graphs(tiny_bundle, tmp_path / "bundle")
    assert {f.name: f.read_bytes() for f in again.iterdir()} == {f.name: f.read_bytes() for f in folder.iterdir()}


def test_only_convolutions_compute_in_half_precision(folder: Path) -> None:
    graph = onnx.shape_inference.infer_shapes(onnx.load_from_string((folder / "encoder_fp16.onnx").read_bytes())).graph
    halves = {v.name for v in graph.value_info if v.type.tensor_type.elem_type == onnx.TensorProto.FLOAT16}
    inside = {n.op_type for n in graph.node if set(n.output) & halves}
    assert {"Conv", "Relu", "MaxPool", "Cast"} == inside
    assert all(set(n.output) <= halves for n in graph.node if n.op_type == "Conv")


def test_a_captioner_has_a_half_precision_encoder_alone(tiny_captioner: Path, tmp_path: Path) -> None:
    folder = with_gpu_graphs(tiny_captioner, tmp_path / "captioner")
    assert set(load_manifest(folder).graphs) == {"encoder", "caption_step", "encoder_fp16"}
    model = Model.load(folder, "cpu", half=True)
    image = np.random.default_rng(0).integers(0, 256, (2, 3, 32, 32), np.uint8)
    exact, half = Model.load(folder, "cpu").encode_batch(image), model.encode_batch(image)
    np.testing.assert_allclose(half.probabilities, exact.probabilities, atol=MAX_CHANGE)


def test_the_half_precision_encoder(folder: Path) -> None:
    manifest = load_manifest(folder)
    exact, half = Model.load(folder, "cpu"), as_on_a_gpu(manifest, read_graphs(folder, manifest))
    assert (exact.manifest.precision, half.manifest.precision) == ("float32", "float16")
    assert exact.manifest.sha256 == half.manifest.sha256
    image = np.stack(pictures(6, 32))[:, None]
    outputs = exact.encode_batch(image), half.encode_batch(image)
    for field, a, b in zip(outputs[0]._fields, *outputs, strict=True):
        assert b.dtype == np.float32
        assert 0 < np.abs(a - b).mean() < 0.25 * np.abs(a).mean(), field  # what pictures differ in is little here
    np.testing.assert_allclose(outputs[1].patches, outputs[0].patches, atol=1e-3 * outputs[0].patches.max())
    plain = Model.load(folder, "cpu", half=True)  # without a GPU's rounding
    np.testing.assert_allclose(
        plain.encode_batch(image).patches, outputs[1].patches, atol=1e-3 * outputs[0].patches.max()
    )


def test_graphs_for_gpus_are_optional_and_checked(folder: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    assert Model.load(tiny_bundle, "cpu", half=True).manifest.precision == "float32"
    broken = Path(shutil.copytree(folder, tmp_path / "bundle"))
    content = bytearray((broken / "encoder_fp16.onnx").read_bytes())
    content[1000] ^= 1
    (broken / "encoder_fp16.onnx").write_bytes(content)
    with pytest.raises(BundleError, match=r"encoder_fp16\.onnx: altered"):
        Model.load(broken, "cpu")
    raw = json.loads((folder / "model.json").read_text())
    del raw["graphs"]["word_step"]
    (broken / "model.json").write_text(json.dumps(raw))
    with pytest.raises(BundleError, match="'word_step' is missing"):
        load_manifest(broken)


@pytest.mark.parametrize("rows", [None, 5])
def test_searching_words_is_greedy_decoding(folder: Path, rows: int | None) -> None:
    model = bound(folder, rows)
    random, sizes = np.random.default_rng(4), model.manifest.sizes
    topics = random.uniform(-1, 1, (23, sizes.hidden)).astype(np.float32)
    banned = random.random((23, sizes.words)) < 0.2
    for changed in ({}, {"min_words": 1, "max_words": 2}, {"min_words": 9, "max_words": 30}, {"max_words": 4}):
        limits = limits_of(model, **changed)
        expected = search(TopicScorer(model, topics), sizes.hidden, banned, limits)
        compare(write_greedily(model, topics, banned, limits), expected)
        compare(write_greedily(model, topics[::-1], banned[::-1], limits), expected[::-1])


def scripted(scores: np.ndarray, folder: Path, target: Path) -> Model:
    """A bundle whose word steps score the next word by the last one alone: (V + 1, V), the first row at the start."""
    manifest = load_manifest(folder)
    graphs = read_graphs(folder, manifest)
    ports = signatures(manifest.sizes, manifest.architecture, manifest.embeds_texts)
    helper, word_ports = onnx.helper, ports["word_step"]
    kinds = {"float32": onnx.TensorProto.FLOAT, "int64": onnx.TensorProto.INT64}
    nodes = [
        helper.make_node("Add", ["word", "one"], ["row"]),
        helper.make_node("Gather", ["scores", "row"], ["log_probabilities"]),
        helper.make_node("Add", ["hidden", "topic"], ["hidden_out"]),
        helper.make_node("Identity", ["cell"], ["cell_out"]),
    ]
    weights = [
        onnx.numpy_helper.from_array(scores.astype(np.float32), "scores"),
        onnx.numpy_helper.from_array(np.array(1), "one"),
    ]
    values = [
        [helper.make_tensor_value_info(p.name, kinds[p.dtype], p.shape) for p in side]
        for side in (word_ports.inputs, word_ports.outputs)
    ]
    graph = helper.make_graph(nodes, "word_step", *values, weights)
    word_step = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    graphs = {n: g for n, g in graphs.items() if n not in GPU_GRAPHS} | {"word_step": word_step.SerializeToString()}
    files = {name: f"{name}.onnx" for name in graphs}
    target.mkdir()
    write_files(target, graphs | make_gpu_graphs(graphs, files, ports), manifest.lexicon, manifest.raw)
    return bound(target)


@pytest.mark.parametrize("seed", range(4))
def test_searching_words_follows_all_rules(folder: Path, tmp_path: Path, seed: int) -> None:
    """Random scores of few words each, so that all rules come to bear: long texts that would go in circles."""
    random, words = np.random.default_rng(seed), load_manifest(folder).sizes.words
    scores = random.normal(size=(words + 1, words)) - 9
    liked = random.integers(0, words, (words + 1, 6))
    scores[np.arange(words + 1)[:, None], liked] += 9
    scores[:, END] = -7
    model = scripted(np.round(scores, 1), folder, tmp_path / "bundle")  # rounded: equal scores are many
    topics = np.zeros((40, model.manifest.sizes.hidden), np.float32)
    banned = random.random((40, words)) < 0.3
    for once in (np.zeros(words, np.bool_), random.random(words) < 0.5):
        for min_words in (1, 25):
            limits = limits_of(model, once=once, min_words=min_words, max_words=40)
            expected = search(TopicScorer(model, topics), topics.shape[1], banned, limits)
            assert len({w.ids for w in expected}) > 20
            compare(write_greedily(model, topics, banned, limits), expected)


def test_searching_words_repeats_no_trigram_and_takes_the_smaller_id(folder: Path, tmp_path: Path) -> None:
    words = load_manifest(folder).sizes.words
    model = scripted(np.zeros((words + 1, words)), folder, tmp_path / "bundle")
    topics = np.zeros((3, model.manifest.sizes.hidden), np.float32)
    banned = np.ones((3, words), np.bool_)
    banned[0, 3:5] = banned[1, 4] = False  # two words, one word, none
    limits = limits_of(model, once=np.zeros(words, np.bool_), min_words=20, max_words=20)
    actual = write_greedily(model, topics, banned, limits)
    assert [w.ids for w in actual] == [
        w.ids for w in search(TopicScorer(model, topics), topics.shape[1], banned, limits)
    ]
    assert [w.ids for w in actual] == [(), (), ()]  # all come to where every word is ruled out
    shorter = {number: write_greedily(model, topics, banned, replace(limits, max_words=number)) for number in (3, 6)}
    assert [w.ids for w in shorter[6]] == [(3, 3, 3, 4, 3, 3), (), ()]
    assert [w.ids for w in shorter[3]] == [(3, 3, 3), (4, 4, 4), ()]


@pytest.mark.parametrize("rows", [None, 3])
def test_reports_are_the_same_with_the_state_on_the_device(folder: Path, rows: int | None) -> None:
    plain, model = Model.load(folder, "cpu"), bound(folder, rows)
    encodings = studies(plain)
    plans = [make_plan(plain.manifest, e, "head") for e in encodings]
    for number in (len(encodings), 1, 5):  # buffers are used again for the same shapes
        pairs = zip(*(decode(m, encodings[:number], plans[:number]) for m in (plain, model)), strict=True)
        for expected, actual in pairs:
            assert [(s.section, s.ids, s.planned) for s in actual.sentences] == [
                (s.section, s.ids, s.planned) for s in expected.sentences
            ]
            for a, b in zip(expected.sentences, actual.sentences, strict=True):
                assert b.log_probability == pytest.approx(a.log_probability, rel=1e-4)
                assert (a.attention is None) == (b.attention is None)
                if a.attention is not None:
                    np.testing.assert_allclose(a.attention, b.attention, atol=1e-6)
    assert len(model._bound_steps) < 12


def test_a_bound_step_keeps_its_state(folder: Path) -> None:
    """It goes from buffer to buffer, and beginning again replaces it."""
    model = bound(folder)
    hidden, words = model.manifest.sizes.hidden, model.manifest.sizes.words
    topics = np.random.default_rng(1).uniform(-1, 1, (4, hidden)).astype(np.float32)
    state = cell = np.zeros((4, hidden), np.float32)
    inputs = {
        "topic": topics, "words": np.full((4, 5), NO_WORD), "total": np.zeros(4, np.float32), "hidden": state,
        "cell": state, "banned": np.zeros((4, words), np.bool_), "once": np.zeros(words, np.bool_),
        "may_end": np.array([False]),
    }  # fmt: skip
    step = model.bound_step(WORD_SEARCH, inputs)
    for length in range(3):
        step.run()
        last = step.fetch("words_out")[:, -2] if length else np.full(4, NO_WORD)
        expected = model.word_step(topics, last, state, cell)
        state, cell = expected.hidden, expected.cell
        np.testing.assert_allclose(step.fetch("hidden_out"), state, atol=1e-5)
        np.testing.assert_allclose(step.fetch("cell_out"), cell, atol=1e-5)
        assert (step.fetch("words_out")[:, -1] == step.fetch("best")).all()
    assert not inputs["hidden"].any()  # the caller's arrays stay as they were
    again = model.bound_step(WORD_SEARCH, inputs)
    assert again is step
    again.run()
    assert (again.fetch("words_out")[:, :-1] == NO_WORD).all()


@pytest.mark.parametrize(
    ("providers", "driver", "missing", "message", "hint"),
    [
        (["CPUExecutionProvider"], True, "", "built without it", "onnxruntime-gpu"),
        (["CUDAExecutionProvider"], False, "", "no NVIDIA driver", "driver"),
        (["CUDAExecutionProvider"], True, "cudart", r"libcudart\.so\.13|cudart64_13", "cxreport[cuda]"),
        (["CUDAExecutionProvider"], True, "cudnn", "cudnn", "cxreport[cuda]"),
        (["CUDAExecutionProvider"], True, "", "cannot run the networks", "nvidia-smi"),
    ],
)
def test_what_cuda_lacks_is_named(
    tiny_bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    providers: list[str],
    driver: bool,
    missing: str,
    message: str,
    hint: str,
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("whatever the driver dislikes")

    monkeypatch.setattr(session, "providers_present", lambda: providers)
    monkeypatch.setattr(cuda, "has_driver", lambda: driver)
    monkeypatch.setattr(cuda, "_loads", lambda library: not missing or missing not in library)
    monkeypatch.setattr(session.ort, "cuda_version", "13.0")
    with monkeypatch.context() as broken:
        broken.setattr(session, "_session", fail)
        with pytest.raises(DeviceError, match=message) as caught:
            Model.load(tiny_bundle, "cuda")
    assert caught.value.message.startswith("CUDA does not work here: ")
    assert hint in caught.value.hint
    assert "--device cpu" in caught.value.hint


def test_float16_is_for_gpus(folder: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="for GPUs"):
        precision.load_model(folder, device="cpu", precision="float16")
    with pytest.raises(BundleError, match="no float16 precision"):
        precision.load_model(tiny_bundle, device="auto", precision="float16")
    monkeypatch.setattr(cuda, "has_driver", lambda: False)
    with pytest.raises(DeviceError, match="no NVIDIA driver"):
        precision.load_model(folder, device="auto", precision="float16")
    assert precision.load_model(folder, device="auto").manifest.precision == "float32"


def test_info_tells_the_precision_of_gpus(folder: Path, run_cli: Callable) -> None:
    facts = json.loads(run_cli("info", "--json", "--model", folder).stdout)
    assert facts["precision"]["available"] == ["float32", "float16"]
    assert facts["precision"]["on_cpu"] == "float32"
    assert "float32 on the CPU; float16 on a GPU" in run_cli("info", "--model", folder).stdout


@pytest.fixture(scope="module")
def shipped() -> Path:
    return find_bundle(None)


def radiographs(number: int) -> list[Pixels]:
    if not NIH.is_dir():
        pytest.skip(f"{NIH} is not here")
    from PIL import Image

    paths = sorted(NIH.glob("*.png"))[:: max(1, len(list(NIH.glob("*.png"))) // number)][:number]
    return [network_input(np.asarray(Image.open(path).convert("L")), 128) for path in paths]


@pytest.mark.slow
def test_the_shipped_bundle_has_graphs_for_gpus(shipped: Path) -> None:
    manifest = load_manifest(shipped)
    assert sum(manifest.graphs[name].bytes for name in GPU_GRAPHS) < 200_000


@pytest.mark.slow
def test_the_shipped_encoder_in_half_precision(shipped: Path) -> None:
    images = radiographs(16)
    plain, manifest = Model.load(shipped, "cpu"), load_manifest(shipped)
    exact, half = (encode(m, images) for m in (plain, as_on_a_gpu(manifest, read_graphs(shipped, manifest))))
    changes = [abs(a.tags[t] - b.tags[t]) for a, b in zip(exact, half, strict=True) for t in a.tags]
    assert 1e-6 < max(changes) <= MAX_CHANGE
    assert all(abs(a.distance - b.distance) < 0.002 * a.distance for a, b in zip(exact, half, strict=True))
    plans = [[make_plan(manifest, e, "head").tags for e in encodings] for encodings in (exact, half)]
    assert sum(a == b for a, b in zip(*plans, strict=True)) >= 15


@pytest.mark.slow
def test_the_shipped_bundle_searches_words(shipped: Path) -> None:
    plain, model = Model.load(shipped, "cpu"), bound(shipped)
    encodings = encode(plain, radiographs(16))
    plans = [make_plan(plain.manifest, e, "head") for e in encodings]
    expected, actual = (decode(m, encodings, plans) for m in (plain, model))
    assert len({d.sentences[0].ids for d in expected}) > 3
    for a, b in zip(expected, actual, strict=True):
        assert [(s.section, s.ids) for s in a.sentences] == [(s.section, s.ids) for s in b.sentences]
        np.testing.assert_allclose(*([s.log_probability for s in d.sentences] for d in (a, b)), rtol=1e-4)


@pytest.mark.gpu
@needs_gpu
def test_the_gpu_writes_what_the_cpu_writes(shipped: Path) -> None:
    models = [precision.load_model(shipped, device=device) for device in ("cpu", "cuda")]
    assert WORD_SEARCH in models[1].bound_steps
    assert models[1].manifest.precision == "float16"
    images = radiographs(64)
    encodings = [encode(m, images) for m in models]
    changes = [abs(a.tags[t] - b.tags[t]) for a, b in zip(*encodings, strict=True) for t in a.tags]
    assert max(changes) <= MAX_CHANGE
    reports = []
    for model, batch in zip(models, encodings, strict=True):
        plans = [make_plan(model.manifest, e, "head") for e in batch]
        reports.append([[s.ids for s in d.sentences] for d in decode(model, batch, plans)])
    assert sum(a == b for a, b in zip(*reports, strict=True)) >= 0.98 * len(images)


@pytest.mark.gpu
@needs_gpu
def test_cuda_graphs_search_as_the_cpu_does(shipped: Path) -> None:
    cpu, gpu = Model.load(shipped, "cpu"), Model.load(shipped, "cuda")
    assert WORD_SEARCH in gpu.bound_steps
    random, sizes = np.random.default_rng(3), cpu.manifest.sizes
    topics = random.uniform(-1, 1, (200, sizes.hidden)).astype(np.float32)
    banned, limits = random.random((200, sizes.words)) < 0.1, limits_of(cpu)
    expected = search(TopicScorer(cpu, topics), sizes.hidden, banned, limits)
    for _ in range(3):  # captured, and played again
        actual = write_greedily(gpu, topics, banned, limits)
        assert sum(a.ids == b.ids for a, b in zip(actual, expected, strict=True)) >= 198
