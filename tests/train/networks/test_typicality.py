"""The distance from the training images, and the alterations that `cxreport evaluate` measures it on."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from training_data import draw  # noqa: E402

from cxreport.model.manifest import DistanceLimits  # noqa: E402
from cxreport.train.fit.typicality import distance_limits, fit_typicality, measure_distances  # noqa: E402
from cxreport.train.networks.encoder import Encoder  # noqa: E402
from cxreport.train.networks.encoders.vgg19 import Vgg19  # noqa: E402
from cxreport.train.networks.typicality import Typicality  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return Encoder(Vgg19(1 / 16), 2).eval()


def pictures(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([draw(set(), rng, 32) for _ in range(count)])


def test_maps_are_what_forward_reads(encoder: Encoder) -> None:
    grey = torch.from_numpy(pictures(3, 0)).float().unsqueeze(1)
    maps = encoder.maps(grey)
    assert [tuple(depth.shape) for depth in maps] == [
        (3, 4, 32, 32), (3, 8, 16, 16), (3, 16, 8, 8), (3, 32, 4, 4), (3, 32, 2, 2)
    ]  # fmt: skip
    assert all(depth.min() == 0 for depth in maps)
    for read, found in zip(encoder.read(maps), encoder(grey), strict=True):
        assert torch.equal(read, found)


def test_images_like_the_training_images_are_at_1_and_others_farther(encoder: Encoder) -> None:
    typicality = fit_typicality(encoder, pictures(800, 1))
    usual = measure_distances(encoder, typicality, pictures(50, 2))
    assert np.sqrt((usual**2).mean()) == pytest.approx(1, abs=0.15)
    negative = measure_distances(encoder, typicality, 255 - pictures(10, 2))
    flat = measure_distances(encoder, typicality, np.full((1, 32, 32), 90, np.uint8))
    assert negative.min() > 2 * usual.max()
    assert flat.min() > usual.max()


def test_few_or_equal_images_give_finite_distances(encoder: Encoder) -> None:
    one = pictures(1, 3)
    for fitted in (pictures(4, 4), one, np.repeat(one, 20, axis=0)):
        distances = measure_distances(encoder, fit_typicality(encoder, fitted), pictures(5, 5))
        assert np.isfinite(distances).all()
        assert distances.min() > 0


def test_a_fit_is_kept_as_its_tensors(encoder: Encoder) -> None:
    typicality = fit_typicality(encoder, pictures(30, 6))
    again = Typicality(**typicality.state_dict())
    images = pictures(4, 7)
    assert (measure_distances(encoder, again, images) == measure_distances(encoder, typicality, images)).all()


def test_limits_from_distances() -> None:
    distances = np.linspace(0.5, 1.5, 1001, dtype=np.float32)
    distances[-1] = 3
    limits, shares = distance_limits(distances)
    assert limits == DistanceLimits(warn=pytest.approx(1.49, abs=1e-3), refuse=pytest.approx(1.8625, abs=1e-3))
    assert shares == {"warned": pytest.approx(0.01, abs=1e-3), "refused": pytest.approx(0.001, abs=1e-3)}


def test_what_the_last_depth_alone_sees_has_no_part(encoder: Encoder) -> None:
    """The last depth answers to disease; a sick patient is no odd picture."""
    typicality = fit_typicality(encoder, pictures(30, 6))
    *early, last = encoder.maps(torch.from_numpy(pictures(2, 8)).float().unsqueeze(1))
    distances = typicality([*early, last])
    assert torch.equal(typicality([*early, 9 * last + 1]), distances)
    assert not torch.equal(typicality([*early[:-1], 9 * early[-1] + 1, last]), distances)
