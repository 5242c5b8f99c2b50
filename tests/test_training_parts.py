"""Dataset adapters, targets, evidence adapters, calibration and figures."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from training_data import make_nih, make_openi, write_recipe  # noqa: E402

from cxreport import lexicon  # noqa: E402
from cxreport.errors import TrainingError  # noqa: E402
from cxreport.train import evidence, nih, openi, text  # noqa: E402
from cxreport.train.config import load_config  # noqa: E402
from cxreport.train.encoder import Encoder  # noqa: E402
from cxreport.train.metrics import auc, auc_per_tag  # noqa: E402
from cxreport.train.pseudo_pairs import pseudo_pairs  # noqa: E402
from cxreport.train.variants import plainer  # noqa: E402

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
        assert left == lexicon.details(words) < lexicon.details(sentence)


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
    encoder = Encoder(2, width=1 / 32).eval()
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
    draw = pseudo_pairs(labels, probabilities, targets, tags, evident, neighbours=4)
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
    from cxreport.train.recipe import train

    recipe = write_recipe(tmp_path / "r.toml", "unpaired")
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.toml").write_text(json.dumps({}))
    with pytest.raises(TrainingError, match="another recipe"):
        train(recipe, tmp_path, run, progress=None)
