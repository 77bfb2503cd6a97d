"""Clusters: as many as are stable, under labels that stay."""

import numpy as np
import pytest

from segmentation.clusters import _matched, _ordered, _stability, choose_k, standardised


def _blobs(centres: int, each: int = 150) -> np.ndarray:
    random = np.random.default_rng(5)
    return np.concatenate([random.normal(centre * 6, 0.5, (each, 3)) for centre in range(centres)])


def test_separate_groups_are_found_again_in_every_resample() -> None:
    assert _stability(_blobs(4), 4) > 0.99


def test_the_largest_stable_number_wins() -> None:
    assert choose_k(_blobs(4), {3: 0.95, 4: 0.99, 5: 0.84, 6: 0.5}) == 4


def test_a_number_that_makes_tiny_clusters_is_passed_over() -> None:
    crowd = np.random.default_rng(2).normal(size=(600, 3))
    outliers = np.full((5, 3), 50.0)
    assert choose_k(np.concatenate([crowd, outliers]), {3: 0.99, 4: 0.2, 5: 0.1}) == 3
    assert choose_k(np.concatenate([crowd, outliers]), {3: 0.9, 4: 0.95}) == 4  # none passes: the most stable


def test_features_are_centred_and_scaled_and_whales_are_tamed() -> None:
    raw = np.random.default_rng(1).lognormal(3, 1, (1000, 3))
    raw[0] = 1e9
    done = standardised(raw)
    assert np.allclose(done.mean(axis=0), 0)
    assert np.allclose(done.std(axis=0), 1)
    assert np.abs(done).max() < 6


def test_a_constant_feature_does_no_harm() -> None:
    raw = np.column_stack([np.arange(10.0), np.full(10, 7.0)])
    assert np.isfinite(standardised(raw)).all()


def test_labels_are_ordered_by_value() -> None:
    labels = _ordered(np.array([0, 0, 1, 1, 2, 2]), np.array([1, 1, 9, 9, 5, 5]))
    assert labels.tolist() == [2, 2, 0, 0, 1, 1]


async def test_without_a_run_before_labels_are_kept_and_there_is_no_churn() -> None:
    labels = np.array([0, 1, 2])
    found, churn = await _matched(np.array([1, 2, 3]), labels, 3)
    assert found.tolist() == [0, 1, 2]
    assert churn is None


@pytest.mark.parametrize("seed", range(3))
def test_the_same_data_gives_the_same_stability(seed: int) -> None:
    features = np.random.default_rng(seed).normal(size=(300, 3))
    assert _stability(features, 3) == _stability(features, 3)
