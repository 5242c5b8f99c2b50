"""Dataset adapters, targets, evidence adapters, calibration and figures."""

import inspect
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from training_data import make_nih, make_openi, write_recipe  # noqa: E402

from cxreport.datasets import nih, openi  # noqa: E402
from cxreport.errors import TrainingError  # noqa: E402
from cxreport.model.choices import Architecture  # noqa: E402
from cxreport.text import lexicon  # noqa: E402
from cxreport.text.vocabulary import NO_WORD, PAD  # noqa: E402
from cxreport.train.config import CaptionerConfig, load_config  # noqa: E402
from cxreport.train.data import evidence  # noqa: E402
from cxreport.train.data import targets as text  # noqa: E402
from cxreport.train.data.pseudo_pairs import nih_vector, pseudo_pairs, stand_ins  # noqa: E402
from cxreport.train.data.tensors import DecoderData, Images  # noqa: E402
from cxreport.train.data.variants import plainer  # noqa: E402
from cxreport.train.fit.captioner import CaptionData, CaptionTask, report_words  # noqa: E402
from cxreport.train.fit.metrics import auc, auc_per_tag  # noqa: E402
from cxreport.train.networks.captioner import CaptionerSizes, Unrolled, make_captioner  # noqa: E402
from cxreport.train.networks.decoder import Decoder, DecoderSizes, State, StudyInput, TopicInput  # noqa: E402
from cxreport.train.networks.encoder import Encoder  # noqa: E402
from cxreport.train.networks.encoders.vgg19 import Vgg19  # noqa: E402
from cxreport.types import Detail  # noqa: E402

pytestmark = pytest.mark.slow


def test_nih_split_and_labels(tmp_path):
    folder = make_nih(tmp_path / "nih", images=6, val=3)
    train, val = nih.read_split(folder, "train", 32), nih.read_split(folder, "val", 32)
    assert (len(train), len(val)) == (6, 3)
    assert train.pixels.shape == (6, 32, 32)
    assert train.labels[3].sum() == 2
    assert not set(train.names) & set(val.names)


def test_openi_reports(tmp_path):
    folder = make_openi(tmp_path / "openi", reports=12)
    reports = openi.read_reports(folder)
    train, val = openi.split_reports(reports, folder)
    assert [r.uid for r in val] == [10]
    assert len(train) == 11
    assert reports[2].mesh == ("Cardiomegaly", "Pleural Effusion")
    assert [p.name for p in openi.image_files(reports[0], folder)] == ["CXR1_IM-0001-1001.png"]
    assert openi.mesh_tags(reports, 2) == ("Cardiomegaly", "Pleural Effusion")


def test_a_folder_without_reports_is_an_error(tmp_path):
    with pytest.raises(TrainingError, match="ecgen-radiology"):
        openi.read_reports(tmp_path)


def _report(findings, impression):
    return openi.OpeniReport(1, findings, impression, (), ())


def test_planned_sentences_come_first_and_tell_one_tag_each():
    report = _report(
        "The trachea is midline. Cardiomegaly and effusion. The heart is enlarged. XXXX effusion.", "No acute disease."
    )
    target = text.target_report(report, plan=True, max_words=20)
    assert target.tags == {"Cardiomegaly", "Pleural Effusion"}
    assert [(s.tag, " ".join(s.words)) for s in target.sentences] == [
        ("Cardiomegaly", "the heart is enlarged"),
        ("Pleural Effusion", "cardiomegaly and effusion"),
        (None, "the trachea is midline"),
        (None, "no acute disease"),
    ]
    assert [s.impression for s in target.sentences] == [False, False, False, True]
    clear = text.target_report(_report("No effusion or edema.", "No effusion."), plan=True, max_words=20)
    assert [s.denied for s in clear.sentences] == [("Edema", "Pleural Effusion"), ()]


@pytest.mark.parametrize(
    ("sentence", "plainest", "forms"),
    [
        ("there is a small left upper lobe nodule", "there is a nodule", 5),
        ("an enlarging left effusion", "an enlarging effusion", 1),
        ("patchy opacity in the right lower lobe", "patchy opacity", 2),
        ("bibasilar atelectasis is seen", "atelectasis is seen", 2),
        ("mild to moderate cardiomegaly", "mild to moderate cardiomegaly", 0),
        ("the left and right lungs are clear", "the left and right lungs are clear", 0),
        ("the heart is normal", "the heart is normal", 0),
    ],
)
def test_plainer_forms(sentence, plainest, forms):
    found = {" ".join(words): details for words, details in plainer(tuple(sentence.split()))}
    assert len(found) == forms
    assert min([sentence, *found], key=len) == plainest
    for words, left in found.items():
        assert left == lexicon.packaged().details(words) < lexicon.packaged().details(sentence)


def test_numbers_are_left_out():
    report = _report("A 7 mm nodule is seen. There is an old fracture of the 4th rib. T12 is intact. Clear lungs.", "")
    target = text.target_report(report, plan=True, max_words=20)
    assert [" ".join(s.words) for s in target.sentences] == ["a nodule is seen", "clear lungs"]


def test_the_plain_form_keeps_the_order():
    target = text.target_report(_report("Lungs are clear. The heart is enlarged.", ""), plan=False, max_words=20)
    assert [s.tag for s in target.sentences] == [None, None]
    assert target.sentences[0].words == ("lungs", "are", "clear")


def test_vocabulary_counts_words():
    targets = [text.target_report(_report(t, ""), False, 20) for t in ("Lungs clear.", "Lungs large.", "Heart clear.")]
    assert text.build_vocabulary(targets, 2) == ("<pad>", "<end>", "<unk>", "clear", "lungs")


def test_evidence_adapter_finds_the_rule_and_its_threshold():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(600, 2)).astype(np.float32)
    targets = (logits[:, :1] > 0.5).astype(np.float32)
    targets = np.concatenate([targets, targets], 1)
    allowed = np.array([[True, False], [False, False]])
    adapter = evidence.fit_adapter(logits, targets, allowed, penalty=1e-4)
    positive = adapter.probabilities(logits) >= adapter.thresholds
    assert (positive[:, 0] == targets[:, 0]).mean() > 0.97
    assert adapter.weights[0, 1] == 0
    assert not positive[:, 1].any()  # no evidence: stays negative


def test_a_threshold_raises_few_false_alarms():
    rng = np.random.default_rng(0)
    scores, targets = rng.random(1000, dtype=np.float32), (rng.random(1000) < 0.05).astype(np.float32)
    assert (scores >= evidence.best_f1_threshold(scores, targets)).sum() <= 2 * targets.sum()


def test_degrees_are_as_frequent_as_in_the_reports():
    adapter = evidence.Adapter(np.eye(2, dtype=np.float32), np.zeros(2, np.float32), np.array([0.5, 1], np.float32))
    logits = np.random.default_rng(0).normal(size=(2000, 2)).astype(np.float32)
    mild, marked = evidence.degree_cuts(adapter, logits, np.array([[0.5, 0.1], [0.5, 0.1]], np.float32))
    positive = adapter.probabilities(logits)[:, 0]
    positive = positive[positive >= 0.5]
    assert (positive < mild[0]).mean() == pytest.approx(0.5, abs=0.01)
    assert (positive > marked[0]).mean() == pytest.approx(0.1, abs=0.01)
    assert (mild[1], marked[1]) == (0, 1)  # no image has the tag


def test_rare_tags_get_a_cautious_threshold():
    scores = np.linspace(0, 1, 1000, dtype=np.float32)
    targets = np.zeros(1000, np.float32)
    targets[500] = 1
    assert evidence.best_f1_threshold(scores, targets) >= np.quantile(scores, 0.99)


def test_calibration_undoes_a_scale_and_a_shift():
    rng = np.random.default_rng(0)
    true = rng.normal(-1, 1.5, (4000, 2)).astype(np.float32)
    labels = (rng.random(true.shape) < 1 / (1 + np.exp(-true))).astype(np.float32)
    labels[9:, 1] = 0  # too few to fit: left as it is
    distorted = (true * 3 + 2).astype(np.float32)
    found = evidence.calibrate(distorted, labels)
    probabilities = found.probabilities(distorted)
    assert np.abs(probabilities[:, 0] - 1 / (1 + np.exp(-true[:, 0]))).max() < 0.06
    assert np.allclose(probabilities[:, 1], 1 / (1 + np.exp(-distorted[:, 1])), atol=1e-5)
    encoder = Encoder(Vgg19(1 / 32), 2).eval()
    image = torch.rand(1, 1, 32, 32) * 255
    before = encoder(image)[1]
    encoder.calibrate(torch.tensor([2.0, 0.5]), torch.tensor([1.0, -1.0]))
    assert torch.allclose(encoder(image)[1], before * torch.tensor([2.0, 0.5]) + torch.tensor([1.0, -1.0]), atol=1e-5)


def test_auc_is_the_rank_statistic():
    labels = np.array([0, 0, 1, 1], np.float32)
    assert auc(np.array([0.1, 0.4, 0.35, 0.8]), labels) == 0.75
    assert auc(np.array([0.5, 0.5, 0.5, 0.5]), labels) == 0.5
    table = auc_per_tag(np.array([[0.1, 0], [0.9, 0]]), np.array([[0, 0], [1, 0]]), ("a", "b"), least=1)
    assert table == {"a": 1.0, "mean": 1.0}


def test_pseudo_pairs_share_their_tags(tmp_path):
    folder = make_openi(tmp_path / "openi", reports=40)
    tags = ("Cardiomegaly", "Pleural Effusion", "Granuloma")
    targets = [text.target_report(r, True, 20) for r in openi.read_reports(folder)]
    chexnet = openi.read_evidence(folder)
    logits = evidence.logit(np.stack([chexnet[t.uid] for t in targets]))
    truth = np.array([[t in r.tags for t in tags] for r in targets], np.float32)
    adapter = evidence.fit_adapter(logits, truth)
    labels = np.zeros((8, 14), np.float32)
    labels[4:, nih.FINDINGS.index("Effusion")] = 1
    probabilities = nih.nih_targets(labels, tags, nih.FINDINGS)
    evident = dict(zip((t.uid for t in targets), adapter.probabilities(logits), strict=True))
    draw = pseudo_pairs(labels, probabilities, DecoderData(targets, [], tags, ()), evident, neighbours=4)
    for report, image in zip(targets, draw(np.random.default_rng(0)), strict=True):
        if report.tags <= {"Pleural Effusion"}:
            assert ("Pleural Effusion" in report.tags) == (image >= 4)


def test_config_refuses_unknown_keys(tmp_path):
    path = write_recipe(tmp_path / "r.toml", "unpaired")
    assert load_config(path).encoder.phases[0].mixup == 0.2
    path.write_text(path.read_text().replace("seed = 7", "seed = 7\nsed = 8"))
    with pytest.raises(ValueError, match="sed"):
        load_config(path)


def test_run_folders_are_not_shared_between_recipes(tmp_path):
    from cxreport.train.run import train

    recipe = write_recipe(tmp_path / "r.toml", "unpaired")
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.toml").write_text(json.dumps({}))
    with pytest.raises(TrainingError, match="another recipe"):
        train(recipe, tmp_path, run, progress=None)


@pytest.mark.parametrize(
    ("architecture", "pairing", "message"),
    [("transformer", "unpaired", "transformer"), ("co-attention", "captions", "captions need one of cnn-rnn")],
)
def test_architectures_that_cannot_be(tmp_path, architecture, pairing, message):
    from cxreport.train.run import train

    path = write_recipe(tmp_path / "r.toml", pairing)
    with pytest.raises(TrainingError, match=message):
        train(path, tmp_path, tmp_path / "run", None, architecture)
    path.write_text(f'architecture = "{architecture}"\n{path.read_text()}')
    with pytest.raises(ValueError, match=message):
        load_config(path)


def test_reports_need_a_decoder_table(tmp_path):
    path = write_recipe(tmp_path / "r.toml", "unpaired")
    path.write_text(path.read_text().split("[decoder]")[0])
    with pytest.raises(ValueError, match=r"\[decoder\]"):
        load_config(path)


def test_stand_ins_are_the_images_with_the_nearest_labels():
    labels = np.eye(14, dtype=np.float32)[[0, 1, 1, 2]]
    stated = np.eye(14, dtype=np.float32)[[2, 1, 0]]
    assert stand_ins(labels, stated, stated) == [3, 1, 0]
    unsure = stated.copy()
    unsure[0] = 0
    assert stand_ins(labels, unsure, stated)[0] == 3  # what a CheXNet saw counts as much
    assert stand_ins(np.concatenate([labels, np.zeros((1, 14), np.float32)]), stated * 0, stated * 0) == [4, 4, 4]


def test_equally_near_stand_ins_take_turns():
    labels = np.eye(14, dtype=np.float32)[[5, 3, 5, 5]]
    wanted = np.eye(14, dtype=np.float32)[[5] * 7 + [3]]
    assert stand_ins(labels, wanted, wanted * 0.4) == [0, 2, 3, 0, 2, 3, 0, 1]
    noise = wanted + np.random.default_rng(0).uniform(-1e-8, 1e-8, wanted.shape).astype(np.float32)
    assert stand_ins(labels, noise, wanted * 0.4) == stand_ins(labels, wanted, wanted * 0.4)


def test_no_model_has_a_part_in_stand_ins():
    assert list(inspect.signature(stand_ins).parameters) == ["labels", "stated", "evident"]


def test_findings_that_tags_speak_for():
    found = nih_vector(["Pleural Effusion", "Granuloma"])
    assert [f for f, here in zip(nih.FINDINGS, found, strict=True) if here] == ["Effusion"]
    assert not nih_vector([]).any()


def _step(attends, **changes):
    """A sentence step of an untrained decoder; what is changed is drawn anew."""
    torch.manual_seed(1)
    sizes = DecoderSizes(
        tags=5,
        words=9,
        patch_dim=6,
        hidden=8,
        word_dim=4,
        attention=4,
        top_tags=3,
        attends_to=Architecture(attends).row.attends_to,
    )
    decoder = Decoder(sizes).eval()
    study = {
        "patches": torch.randn(2, 4, 6),
        "has_image": torch.ones(2),
        "tags": torch.rand(2, 5),
        "unusual": torch.randn(2, 5),
    }
    topic = TopicInput(torch.zeros(2, 5), torch.zeros(2, len(Detail)), torch.zeros(2, dtype=torch.int64))
    with torch.inference_mode():
        return decoder.sentence(StudyInput(**study | changes), topic, State(torch.ones(2, 8), torch.ones(2, 8)))


@pytest.mark.parametrize(
    ("attends", "patches", "tags", "even"),
    [
        ("co-attention", True, True, False),
        ("visual-only", True, False, False),
        ("semantic-only", False, True, True),
        ("no-attention", True, False, True),
    ],
)
def test_what_architectures_attend_to(attends, patches, tags, even):
    usual = _step(attends)
    other_patches = _step(attends, patches=torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(9)))
    other_tags = _step(attends, tags=torch.rand(2, 5, generator=torch.Generator().manual_seed(9)))
    assert torch.equal(usual.topic, other_patches.topic) is not patches
    assert torch.equal(usual.topic, other_tags.topic) is not tags
    assert torch.allclose(usual.attention.sum(1), torch.ones(2), atol=1e-5)
    assert torch.equal(usual.attention, torch.full((2, 4), 0.25)) is even


def test_without_attention_the_order_of_patches_is_all_the_same():
    patches = torch.randn(2, 4, 6)
    first, second = (_step("no-attention", patches=p) for p in (patches, patches.flip(1)))
    assert torch.allclose(first.topic, second.topic, atol=1e-6)


class Looking(torch.nn.Module):
    """Stands for a captioner: knows nothing, and looks where it is told to."""

    def __init__(self, attention):
        super().__init__()
        self.attention = attention

    def words(self, patches, words):
        return Unrolled(torch.zeros(words.numel(), 8), words.flatten(), self.attention[:, : words.shape[1]].mean(1))


@pytest.mark.parametrize(
    ("rows", "penalty"),
    [
        ([[0.25] * 4] * 5, 0.0),
        ([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0.25] * 4], 0.0),  # each patch in its turn
        ([[1, 0, 0, 0]] * 5, 3.0),  # (1 - 4)^2 and three times 1, over 4
        ([[0.5, 0.5, 0, 0]] * 5, 1.0),
        (None, 0.0),
    ],
)
def test_looking_at_some_patches_alone_costs(rows, penalty):
    words = ("a", "b", "c", "d")
    attention = None if rows is None else torch.tensor(rows).float()[None]
    module = Looking(attention) if attention is not None else Blind(None)
    config = CaptionerConfig(doubly_stochastic=0.5)
    vocabulary = ("<pad>", "<end>", "<unk>", *words, "e")
    images = Images(torch.zeros(1, 4, 3), lambda _: [0])
    data = CaptionData(
        vocabulary=vocabulary,
        images=images,
        texts=[[words]],
        val_patches=torch.zeros(1, 4, 3),
        val_texts=[words],
    )
    task = CaptionTask(config, module, data)
    (loss,) = map(task.loss, task.batches(np.random.default_rng(0)))
    assert float(loss) == pytest.approx(np.log(8) + 0.5 * penalty, abs=1e-5)
    assert task.measure() == {"val_words": round(float(np.log(8)), 4)}  # the penalty is for training alone


class Blind(Looking):
    """One that does not attend."""

    def words(self, patches, words):
        return Unrolled(torch.zeros(words.numel(), 8), words.flatten(), None)


def test_a_report_as_one_sequence():
    report = text.target_report(_report("The heart is large. Lungs clear.", "No effusion."), False, 20)
    assert " ".join(report_words(report)) == "the heart is large . lungs clear . <impression> no effusion ."
    assert text.frequent_words([("b", "a", "b"), ("c", "a")], 2) == ("<pad>", "<end>", "<unk>", "a", "b")


def test_start_words_and_states_of_captioners():
    torch.manual_seed(0)
    for architecture, attends in (("cnn-rnn", False), ("soft-attention", True)):
        captioner = make_captioner(architecture, CaptionerSizes(9, 6, 8, 4, 4)).eval()
        patches, words = torch.randn(3, 4, 6), torch.randint(3, 9, (3, 5))
        words[2, 2:] = PAD  # texts of 5, 5 and 2 words
        unrolled = captioner.words(patches, words)
        assert (unrolled.attention is not None) is captioner.attends is attends
        steps, weights, last = [], [], torch.full((3,), NO_WORD)
        seen, state = captioner.items(patches), captioner.start(3)
        for t in range(5):  # a word at a time comes to the same
            logits, attention, state = captioner(seen, last, state)
            alive = words[:, t] != PAD
            steps.append(logits[alive])
            weights.append(alive.unsqueeze(1) * (0 if attention is None else attention))
            last = words[:, t]
        assert torch.equal(unrolled.targets, words.T[words.T != PAD])
        assert torch.allclose(unrolled.logits, torch.cat(steps), atol=1e-5)
        if unrolled.attention is not None:
            mean = torch.stack(weights).sum(0) / torch.tensor([[5.0], [5.0], [2.0]])
            assert torch.allclose(unrolled.attention, mean, atol=1e-5)


@pytest.mark.parametrize("architecture", ["cnn-rnn", "soft-attention"])
@pytest.mark.parametrize("places", [0, 4])
def test_only_learned_places_tell_where_a_patch_is(architecture, places):
    torch.manual_seed(0)
    captioner = make_captioner(architecture, CaptionerSizes(9, 6, 8, 4, 4, places)).eval()
    if places:
        torch.nn.init.normal_(captioner.place)
    patches, words = torch.randn(2, 4, 6), torch.randint(3, 9, (2, 5))
    first, second = (captioner.words(p, words).logits for p in (patches, patches.flip(1)))
    assert torch.allclose(first, second, atol=1e-5) is not bool(places)
