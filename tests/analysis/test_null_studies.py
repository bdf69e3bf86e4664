"""Where nothing differs, at most 5 % of studies find something: benchmarks/null_studies.py."""

import importlib.util
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

PATH = Path(__file__).parents[2] / "benchmarks" / "null_studies.py"


@pytest.fixture(scope="module")
def null() -> ModuleType:
    spec = importlib.util.spec_from_file_location("null_studies", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("kind", ["normal", "skewed", "heavy tails", "tied", "error counts"])
def test_few_studies_without_effect_are_called_significant(null: ModuleType, kind: str) -> None:
    share = null.rate(kind, 8, 3, 300, null.called_significant)
    assert not null.too_high(share, 300)


def test_with_too_few_seeds_none_is(null: ModuleType) -> None:
    for seeds, cells in ((2, 1), (5, 1), (6, 2), (8, 9)):
        assert null.rate("normal", seeds, cells, 30, null.called_significant) == 0


def test_an_effect_is_found(null: ModuleType) -> None:
    """So that the rates above are not those of a test that never finds anything."""
    random = np.random.default_rng(0)
    found = [
        null.called_significant(0.002 + null.differences("normal", random, 10, 3))
        for _ in range(50)
    ]
    assert np.mean(found) > 0.8


def test_skewed_differences_show_that_the_measurement_can_fail(null: ModuleType) -> None:
    share = null.rate("skewed differences", 8, 3, 300, null.called_significant)
    assert null.too_high(share, 300)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@pytest.mark.parametrize("kind", ["normal", "skewed", "heavy tails", "tied", "error counts"])
def test_ten_thousand_studies_stay_at_or_below_the_nominal_rate(
    null: ModuleType, kind: str
) -> None:
    shares = {size: null.rate(kind, *size, 10_000, null.called_significant) for size in null.SIZES}
    assert not {size: share for size, share in shares.items() if null.too_high(share, 10_000)}
    assert max(shares.values()) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 10_000)
