"""Where nothing differs, at most 5 % of reports claim something: benchmarks/null_studies.py."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from dropout_lab.analysis import statistics

PATH = Path(__file__).parents[2] / "benchmarks" / "null_studies.py"


@pytest.fixture(scope="module")
def null() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("null_studies", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "bca_interval", statistics.bca_interval)
        patch.setattr(statistics, "selection_optimism", statistics.selection_optimism)
        module.no_bootstrap()
        yield module
    del sys.modules[spec.name]


@pytest.mark.parametrize("kind", ["normal", "skewed", "heavy", "tied", "counts"])
def test_few_reports_without_effect_claim_one(null: ModuleType, kind: str) -> None:
    share = null.rate(null.Shape("two p", ("dropout.p=0,0.25,0.5",), 8), kind, 40)
    assert not null.too_high(share, 40)


@pytest.mark.parametrize("effect", ["data", "one"])
def test_what_differs_leads_to_no_other_claim(null: ModuleType, effect: str) -> None:
    shape = null.Shape("s", ("dataset.train_size=200,3000", "dropout.p=0,0.25,0.5"), 9)
    assert not null.too_high(null.rate(shape, "normal", 25, effect), 25)


def test_with_too_few_seeds_nothing_is_claimed(null: ModuleType) -> None:
    sizes = "dataset.train_size=200,400,800"
    for shape in (
        null.Shape("five seeds", ("dropout.p=0,0.25,0.5",), 5),
        null.Shape("six seeds", (sizes, "dropout.p=0,0.5"), 6),
    ):
        assert null.rate(shape, "normal", 20) == 0
    shape = null.Shape("a large effect", ("dropout.p=0,0.25,0.5,0.75",), 5)
    assert null.power(shape, (0, 1, 2, 50), 10) == (0, 0)


def test_an_effect_is_found(null: ModuleType) -> None:
    """So that the rates above are not those of a report that never claims anything."""
    shape = null.Shape("three p", ("dropout.p=0,0.25,0.5,0.75",), 10)
    first, other = null.power(shape, (0, 1, 2, 8), 20)
    assert first > 0.8
    assert other > 0.8


def test_without_the_correction_far_more_reports_claim_something(
    null: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the measurement can fail."""
    monkeypatch.setattr(statistics, "holm", lambda p, *_: np.asarray(list(p)))
    share = null.rate(null.Shape("nine p", (null.EVERY_P,), 10), "normal", 25)
    assert share > 0.3


def test_a_claim_in_a_sentence_is_seen(null: ModuleType) -> None:
    """And what only sounds like one is not."""
    for text in (
        "Test accuracy with dropout is significantly lower at train size = 100.",
        "Compared with it, test error is 7.20 pp [6.93, 7.47] higher at p = 0.9 (n = 6).",
        "1 of the 2 steps from one cell to the next is significant: A is better than B.",
        "is higher in 2 (p = 0.5: +0.83 pp, significant). 1 is significant (sign-flip tests).",
        "The difference is significant (sign-flip p-value 0.031).",
        "Dropout with p = 0.5 classifies 1.9 more of 100 test images correctly than no dropout.",
        "Dropout and no dropout classify equally many test images correctly, to within 1 of 1,000.",
        "2 of 3 settings classify more test images correctly than no dropout; 1 undecided.",
    ):
        assert null.CLAIM.search(text)
    for text in (
        "None of the 2 steps from one cell to the next is significant.",
        "Test accuracy with p = 0.5 is 0.83 pp [−1.06, 2.73] higher than with no dropout.",
        "The difference is not significant (sign-flip p-value 1).",
        "is not significantly different at train size = 200. None is significant.",
        "Dropout with p = 0.5 classified 1.9 more of 100 test images correctly than no dropout, "
        "which may be chance.",
        "Dropout with p = 0.5 and no dropout classified equally many test images correctly, which "
        "may be chance.",
        "Dropout classifies more test images correctly than no dropout on none of 2 data sets; "
        "undecided on 2.",
        "None of 3 settings classifies more test images correctly than no dropout; 3 undecided.",
    ):
        assert not null.CLAIM.search(text)


def test_claims_without_a_report_are_those_of_complete_reports(null: ModuleType) -> None:
    """The simulations compare themselves with reports; few claims of either kind are false."""
    path = PATH.with_name("null_equivalence.py")
    spec = importlib.util.spec_from_file_location("null_equivalence", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    simulation = module.Simulation(null.Shape("two p", ("dropout.p=0,0.25,0.5",), 8), 400)
    margin = 5 * null.SD
    at_margin, true = simulation.equivalences("normal", "margin", margin)
    assert true.tolist() == [False, False]
    assert not null.too_high(at_margin.any(axis=1).mean(), 400)
    assert not null.too_high(simulation.false_differences("mixed", margin).mean(), 400)
    equal, true = simulation.equivalences("tied", "equal", margin)
    assert true.tolist() == [True, True]
    assert equal.mean() > 0.8


@pytest.mark.slow
@pytest.mark.timeout(20_000)
def test_no_shape_of_study_has_more_false_claims_than_promised(null: ModuleType) -> None:
    shares = {shape.name: null.rate(shape, "normal", 1_000) for shape in null.SHAPES}
    assert not {name: share for name, share in shares.items() if null.too_high(share, 1_000)}
