from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cxreport.errors import InvalidTagsError, NotAChestRadiographError
from cxreport.model.bundle import load_manifest
from cxreport.model.encode import check_typical, encode, encode_tags
from cxreport.model.session import Model
from cxreport.reading.network_input import network_input
from cxreport.types import Encoding


@pytest.fixture(scope="module")
def model(tiny_bundle: Path) -> Model:
    return Model.load(tiny_bundle, "cpu")


def test_encode(model: Model) -> None:
    images = list(np.random.default_rng(0).integers(0, 256, (3, 32, 32), np.uint8))
    encodings, sizes = encode(model, images), model.manifest.sizes
    assert len(encodings) == 3
    for encoding in encodings:
        assert tuple(encoding.tags) == model.manifest.tag_names
        assert all(0 <= p <= 1 for p in encoding.tags.values())
        assert encoding.patches is not None
        assert encoding.embedding is not None
        assert encoding.patches.shape == (4, 12)
        assert encoding.patch_embeddings is not None
        assert encoding.embedding.shape == (sizes.embedding,)
        assert encoding.patch_embeddings.shape == (sizes.patch_embeddings, sizes.embedding)
        assert np.linalg.norm(encoding.embedding) == pytest.approx(1, abs=1e-5)
    assert encodings[0].tags != encodings[1].tags
    assert encode(model, []) == []


def test_an_image_is_encoded_the_same_in_any_batch(model: Model) -> None:
    images = list(np.random.default_rng(1).integers(0, 256, (5, 32, 32), np.uint8))
    together = encode(model, images)
    for image, encoding in zip(images, together, strict=True):
        (alone,) = encode(model, [image])
        assert alone.tags == encoding.tags
        for name in ("patches", "embedding", "patch_embeddings"):
            assert np.array_equal(getattr(alone, name), getattr(encoding, name))
        assert alone.distance == encoding.distance


def test_noise_is_far_from_the_training_images_and_clouds_are_near(model: Model) -> None:
    random = np.random.default_rng(2)
    clouds = [network_input(random.integers(0, 256, (5, 5), np.uint8), 32) for _ in range(6)]
    noise = list(random.integers(0, 256, (6, 32, 32), np.uint8))
    of_clouds, of_noise = ([e.distance for e in encode(model, images)] for images in (clouds, noise))
    limits = model.manifest.typicality
    assert max(of_clouds) < limits.warn
    assert min(of_noise) > limits.refuse


def test_limits_of_distance(tiny_bundle: Path) -> None:
    manifest = load_manifest(tiny_bundle)
    limits = manifest.typicality

    def warnings_at(distance: float | None, force: bool = False) -> tuple[str, ...]:
        return check_typical(manifest, Encoding({}, None, None, distance=distance), force)

    assert warnings_at(None) == warnings_at(limits.warn) == warnings_at(limits.warn, force=True) == ()
    (doubt,) = warnings_at(limits.warn * 1.01)
    assert warnings_at(limits.refuse) == warnings_at(limits.refuse, force=True) == (doubt,)
    for distance in (limits.refuse * 1.01, float("inf"), float("nan")):
        with pytest.raises(NotAChestRadiographError, match="does not look like"):
            warnings_at(distance)
        (warning,) = warnings_at(distance, force=True)
        assert warning != doubt


def test_encode_tags_orders_the_known_ones_first(tiny_bundle: Path) -> None:
    manifest = load_manifest(tiny_bundle)
    encoding = encode_tags(manifest, {"Lung Opacity": 0.2, "Other": 1, "Hernia": 0.0, "Atelectasis": 0.5})
    assert list(encoding.tags.items()) == [("Atelectasis", 0.5), ("Hernia", 0), ("Lung Opacity", 0.2), ("Other", 1)]
    assert encoding.patches is None
    assert encoding.embedding is None
    assert encoding.distance is None


@pytest.mark.parametrize("tags", [{}, {"Other": 0.3}, {"Hernia": 1.2}, {"Hernia": float("nan")}, {"Hernia": -0.1}])
def test_unusable_tags(tiny_bundle: Path, tags: dict[str, float]) -> None:
    with pytest.raises(InvalidTagsError):
        encode_tags(load_manifest(tiny_bundle), tags)


def test_images_side_by_side_come_to_the_same(tiny_bundle: Path) -> None:
    images = [network_input(p, 32) for p in np.random.default_rng(6).integers(0, 256, (7, 5, 5), np.uint8)]
    together = encode(Model.load(tiny_bundle, "cpu", threads=3, side_by_side=True), images)
    for alone, other in zip(encode(Model.load(tiny_bundle, "cpu", threads=2), images), together, strict=True):
        assert alone.tags == other.tags
        assert alone.distance == other.distance
        assert np.array_equal(alone.patches, other.patches)
        assert np.array_equal(alone.embedding, other.embedding)
