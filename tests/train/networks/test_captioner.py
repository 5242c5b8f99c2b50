"""Steps and unrolled texts of the captioning architectures."""

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from cxreport.text.vocabulary import NO_WORD, PAD  # noqa: E402
from cxreport.train.networks.captioner import CaptionerSizes, make_captioner  # noqa: E402


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
