"""Self-critical training: what sentences are paid, and that reports are drawn as inference decodes them."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from pycocoevalcap.bleu.bleu_scorer import BleuScorer  # noqa: E402
from pycocoevalcap.rouge.rouge import Rouge  # noqa: E402

from cxreport.bundle import END, PAD, UNK, long_words  # noqa: E402
from cxreport.train.decoder import Decoder, DecoderSizes  # noqa: E402
from cxreport.train.fit_critical import _less_the_others  # noqa: E402
from cxreport.train.reward import Reference, SectionReward  # noqa: E402
from cxreport.train.rollout import Inputs, Rules, draw  # noqa: E402
from cxreport.types import Detail, Plan  # noqa: E402

pytestmark = pytest.mark.slow
REFERENCE = "The heart is normal in size. The lungs are clear. No pneumothorax or pleural effusion."
PREPARED = "the heart is normal in size . the lungs are clear . no pneumothorax or pleural effusion ."
WORDS = ("<pad>", "<end>", "<unk>", "lungs", "pneumothorax", "left", "clear", "no")


@pytest.mark.parametrize(
    "text", ["the lungs are clear .", "no effusion . the heart is normal .", "the the the", "xray", REFERENCE.lower()]
)
def test_rouge_is_that_of_pycocoevalcap(text):
    expected = Rouge().calc_score([text], [PREPARED])
    assert Reference(REFERENCE).rouge(text.split()) == pytest.approx(expected)


def test_a_sentence_is_paid_what_it_adds():
    reward = SectionReward(bleu=1.0, rouge=1.0)
    sentences = ["The heart is normal in size.", "There is a large mass.", "The lungs are clear."]
    whole, added = reward.marginals(sentences, Reference(REFERENCE))
    assert added[0] > added[2] > 0 > added[1]
    again, repeated = reward.marginals([*sentences, sentences[0]], Reference(REFERENCE))
    assert again < whole
    assert repeated[-1] == pytest.approx(again - whole)


def test_pay_points_where_bleu_rises():
    """The reward is the derivative of log BLEU-4: what raises the one raises the other."""
    reference = Reference(REFERENCE)
    texts = [
        ["The lungs are clear."],
        ["The heart is normal in size.", "The lungs are clear."],
        ["A large mass is seen."],
    ]
    reward = SectionReward(bleu=1.0, rouge=0.0)
    for _ in range(200):
        reward.follow(texts[0], reference)
    pays, bleus = [], []
    for sentences in texts:
        pays.append(reward.marginals(sentences, reference)[0])
        scorer = BleuScorer(n=4)
        for some in (sentences, *[texts[0]] * 50):  # one report of many
            words = " ".join(" ".join(some).lower().replace(".", " .").split())
            scorer += (
                words,
                ["the heart is normal in size . the lungs are clear . no pneumothorax or pleural effusion ."],
            )
        bleus.append(scorer.compute_score(verbose=0)[0][3])
    assert np.argsort(pays).tolist() == np.argsort(bleus).tolist()


def test_advantages_are_less_the_other_copies():
    pay = np.array([[[1.0, 5.0], [2.0, 0.0], [6.0, 0.0]]], np.float32)
    real = np.array([[[True, True], [True, False], [True, False]]])
    assert _less_the_others(pay, real).tolist() == [[[-3.0, 0.0], [-1.5, 0.0], [4.5, 0.0]]]


def _rollout(plans):
    torch.manual_seed(0)
    decoder = Decoder(DecoderSizes(tags=2, words=len(WORDS), patch_dim=6, hidden=12, word_dim=8, attention=4)).eval()
    details = np.array([[word == "left" and detail is Detail.LEFT for word in WORDS] for detail in Detail])
    rules = Rules((True, False), details, long_words(WORDS), max_sentences=3, min_words=2, max_words=6)
    n = len(plans)
    inputs = Inputs(torch.zeros(n, 1, 6), torch.zeros(n), torch.rand(n, 2), torch.zeros(n, 2))
    return draw(decoder, rules, inputs, plans, torch.Generator().manual_seed(1))


def test_drawn_reports_keep_to_the_rules():
    nothing = np.zeros(2, np.float32)
    plans = [Plan(nothing, nothing, (1, 0), ()), Plan(nothing, nothing, (), (0,))] * 40
    rollout = _rollout(plans)
    for row, plan in enumerate(plans):
        real = rollout.real[row]
        findings = rollout.plans[row][real & (rollout.sections[row] == 0)].tolist()
        impression = rollout.plans[row][real & (rollout.sections[row] == 1)].tolist()
        assert findings[: len(plan.tags)] == [[float(t == r) for r in range(2)] for t in plan.tags]
        assert len(findings) <= max(3, len(plan.tags))
        assert impression[:1] == ([[1.0, 0.0]] if 0 in plan.tags else [[0.0, 0.0]])
    assert rollout.words.shape[0] == int(rollout.real.sum())
    free = ~rollout.details[rollout.real][:, list(Detail).index(Detail.LEFT)].bool()
    assert not (rollout.words[free] == WORDS.index("left")).any()
    assert not (rollout.words == UNK).any()
    for ids in rollout.words.tolist():
        words = [i for i in ids if i not in (PAD, END)]
        assert words.count(WORDS.index("pneumothorax")) <= 1
        assert len(words) >= 2
        assert ids.count(END) <= 1


def test_decisions_are_kept_where_they_were_asked_for():
    nothing = np.zeros(2, np.float32)
    rollout = _rollout([Plan(nothing, nothing, (1, 0), ())] * 60)
    assert (rollout.stops[:, 0] == -1).all()  # the second planned sentence follows anyway
    asked = rollout.stops >= 0
    assert not (asked & ~rollout.real).any()
    in_findings = asked & (rollout.sections == 0)
    assert (rollout.switches[in_findings] >= 0).all()
    assert (rollout.switches[asked & (rollout.sections == 1)] == -1).all()
    assert 0.2 < float(rollout.stops[asked].mean()) < 0.8  # an untrained decoder is of two minds
