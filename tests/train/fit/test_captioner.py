"""The captioner's stage: reports as one sequence, and the penalty for uneven attention."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from cxreport.datasets import openi  # noqa: E402
from cxreport.train.config import CaptionerConfig  # noqa: E402
from cxreport.train.data import targets as text  # noqa: E402
from cxreport.train.data.tensors import Images  # noqa: E402
from cxreport.train.fit.captioner import CaptionData, CaptionTask, report_words  # noqa: E402
from cxreport.train.networks.captioner import Unrolled  # noqa: E402


def _report(findings, impression):
    return openi.OpeniReport(1, findings, impression, (), ())


class Looking(torch.nn.Module):
    """Stands for a captioner: knows nothing, and looks where it is told to."""

    def __init__(self, attention):
        super().__init__()
        self.attention = attention

    def words(self, patches, words):
        return Unrolled(torch.zeros(words.numel(), 8), words.flatten(), self.attention[:, : words.shape[1]].mean(1))


class Blind(Looking):
    """One that does not attend."""

    def words(self, patches, words):
        return Unrolled(torch.zeros(words.numel(), 8), words.flatten(), None)


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


def test_a_report_as_one_sequence():
    report = text.target_report(_report("The heart is large. Lungs clear.", "No effusion."), False, 20)
    assert " ".join(report_words(report)) == "the heart is large . lungs clear . <impression> no effusion ."
    assert text.frequent_words([("b", "a", "b"), ("c", "a")], 2) == ("<pad>", "<end>", "<unk>", "a", "b")
