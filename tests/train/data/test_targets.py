"""Report texts as targets of the decoder: planned sentences, numbers, vocabulary."""

from cxreport.datasets import openi
from cxreport.train.data import targets as text


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
