"""Steps and unrolled texts of the captioning architectures."""

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from torch.nn import functional as F  # noqa: E402

from cxreport.text.vocabulary import END, NO_WORD, PAD  # noqa: E402
from cxreport.train.networks.captioner import CaptionerSizes, make_captioner  # noqa: E402


@pytest.mark.parametrize(
    ("architecture", "attends", "word_queries"),
    [("cnn-rnn", False, False), ("soft-attention", True, False), ("soft-attention", True, True)],
)
def test_start_words_and_states_of_captioners(architecture, attends, word_queries):
    torch.manual_seed(0)
    captioner = make_captioner(architecture, CaptionerSizes(9, 6, 8, 4, 4, word_queries=word_queries)).eval()
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
    patches, words = torch.randn(2, 4, 6), torch.randint(3, 9, (2, 5))
    first, second = (captioner.words(p, words).logits for p in (patches, patches.flip(1)))
    assert torch.allclose(first, second, atol=1e-5) is not bool(places)


def test_places_start_as_rows_and_columns():
    torch.manual_seed(0)
    captioner = make_captioner("soft-attention", CaptionerSizes(9, 50, 8, 4, 4, places=16))
    grid = captioner.place.detach().view(4, 4, 50)
    down, across = grid.diff(dim=0), grid.diff(dim=1)
    assert torch.allclose(down, down[:1, :1].expand(3, 4, 50), atol=1e-6)
    assert torch.allclose(across, across[:1, :1].expand(4, 3, 50), atol=1e-6)
    assert float(F.cosine_similarity(down[0, 0], across[0, 0], 0).abs()) < 0.5
    assert torch.allclose(grid.mean((0, 1)), torch.zeros(50), atol=1e-6)


@pytest.mark.parametrize("word_queries", [False, True])
def test_only_word_queries_look_by_the_previous_word(word_queries):
    torch.manual_seed(0)
    captioner = make_captioner("soft-attention", CaptionerSizes(9, 6, 8, 4, 4, word_queries=word_queries)).eval()
    items, state = captioner.items(torch.randn(1, 4, 6)), captioner.start(1)
    first, second = (captioner(items, torch.tensor([word]), state)[1] for word in (3, 4))
    assert torch.equal(first, second) is not word_queries


COLOURS, KINDS, SIDE = 4, 3, 4
A, AND = 3, 4
FIRST_COLOUR = 5
FIRST_KIND = FIRST_COLOUR + COLOURS
WORDS = FIRST_KIND + KINDS
FEATURES = 40


def drawn(count, sides=False):
    """Two shapes of two colours on a grid of patches; a text names one, chosen by chance, and then the other.

    With ``sides`` the first is always the left one, and both are of one kind.
    """
    patches = torch.randn(count, SIDE * SIDE, FEATURES) * 0.2
    colours, kinds = torch.rand(count, COLOURS).argsort(1)[:, :2], torch.randint(1 if sides else KINDS, (count, 2))
    half = torch.randint(SIDE // 2, (count, 2)) + torch.tensor([0, SIDE // 2])
    columns = half if sides else half.gather(1, torch.rand(count, 2).argsort(1))
    places = torch.randint(SIDE, (count, 2)) * SIDE + columns
    rows = torch.arange(count)
    patches[..., -1] += 2  # the background
    for shape in range(2):
        patches[rows, places[:, shape], -1] -= 2
        patches[rows, places[:, shape], colours[:, shape]] += 2
        patches[rows, places[:, shape], COLOURS + kinds[:, shape]] += 2
    phrases = [(torch.full_like(colours, A), FIRST_COLOUR + colours, FIRST_KIND + kinds)[part] for part in range(3)]
    first, second = (torch.stack([phrase[:, shape] for phrase in phrases], 1) for shape in range(2))
    marks = [torch.full((count, 1), word) for word in (AND, END)]
    return patches, torch.cat([first, marks[0], second, marks[1]], 1), places


def taught(captioner, steps, lr, sides=False, batch=64):
    """A captioner that has seen so many batches, without dropout, which slows down what is to be learned."""
    captioner.eval()
    optimiser = torch.optim.Adam(captioner.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, steps)
    for _ in range(steps):
        patches, words, _ = drawn(batch, sides)
        written = captioner.words(patches, words)
        optimiser.zero_grad()
        F.cross_entropy(written.logits, written.targets).backward()
        torch.nn.utils.clip_grad_norm_(captioner.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return captioner


def unrolled(captioner, patches, words):
    """(N, T) likeliest words after the true ones, and (N, T, P) attention."""
    items, state, previous = captioner.items(patches), captioner.start(len(words)), torch.full((len(words),), NO_WORD)
    likeliest, maps = [], []
    for word in words.T:
        logits, attention, state = captioner(items, previous, state)
        likeliest.append(logits.argmax(1))
        maps.append(attention)
        previous = word
    return torch.stack(likeliest, 1), None if maps[0] is None else torch.stack(maps, 1)


@pytest.mark.slow
def test_with_word_queries_a_kind_is_looked_up_where_the_colour_was_said():
    torch.manual_seed(0)
    sizes = CaptionerSizes(WORDS, FEATURES, 32, 16, 16, SIDE * SIDE, word_queries=True)
    captioner = taught(make_captioner("soft-attention", sizes), 450, 0.02)
    patches, words, places = drawn(300)
    with torch.inference_mode():
        likeliest, maps = unrolled(captioner, patches, words)
    for shape, step in enumerate((2, 6)):
        assert (likeliest[:, step] == words[:, step]).float().mean() > 0.95
        assert (maps[:, step].argmax(1) == places[:, shape]).float().mean() > 0.9


@pytest.mark.slow
def test_with_places_a_mean_patch_tells_which_shape_is_to_the_left():
    torch.manual_seed(0)
    sizes = CaptionerSizes(WORDS, FEATURES, 128, 64, 16, SIDE * SIDE)
    captioner = taught(make_captioner("cnn-rnn", sizes), 800, 0.005, sides=True)
    patches, words, _ = drawn(300, sides=True)
    with torch.inference_mode():
        likeliest, _ = unrolled(captioner, patches, words)
    for step in (1, 5):
        assert (likeliest[:, step] == words[:, step]).float().mean() > 0.9, step
