"""The sentence step of each architecture."""

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from cxreport.model.choices import Architecture  # noqa: E402
from cxreport.train.networks.decoder import Decoder, DecoderSizes, State, StudyInput, TopicInput  # noqa: E402
from cxreport.types import Detail  # noqa: E402


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
