"""Every variant keeps every check, and each wrong implementation breaks the one that is named."""

import math
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.checks import CHECKS, CheckResult, verify
from dropout_lab.layers import VARIANTS, Dropout
from tests.checks.wrong import RIGHT, WRONG, Right

BUILT_IN = list(VARIANTS)


def join(kind: type[Dropout], name: str = "tried") -> None:
    """Let a class take part under a name."""
    CATALOGUE[name], VARIANTS[name] = kind.variant, kind


@cache
def checks_of(kind: type[Dropout]) -> dict[str, CheckResult]:
    join(kind)
    return {check.check: check for check in verify(["tried"])}


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_variant_keeps_every_law(name: str) -> None:
    checks = list(verify([name]))
    assert [check.check for check in checks] == list(CHECKS)
    assert [check for check in checks if check.passed is False] == []
    assert all(check.reason for check in checks if check.passed is None)


@pytest.mark.parametrize("kind", RIGHT)
def test_what_the_wrong_ones_were_changed_from_is_right(
    kind: type[Dropout], own_variants: None
) -> None:
    assert [check for check in checks_of(kind).values() if check.passed is False] == []


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_implementation_breaks_its_law(kind: type[Dropout], own_variants: None) -> None:
    check = checks_of(kind)[kind.check]
    assert check.passed is False
    assert check.reason


def test_every_law_can_be_broken() -> None:
    assert {kind.check for kind in WRONG} == set(CHECKS)


def test_most_of_the_wrong_ones_break_little_else(own_variants: None) -> None:
    """A check that fails whatever is wrong would name nothing."""
    for check in (
        "noise mean is 1",
        "p = 0 changes no bit",
        "finite at every p",
        "each step draws new noise",
    ):
        broken = [kind.__name__ for kind in WRONG if checks_of(kind)[check].passed is False]
        assert len(broken) < len(WRONG) / 2, broken


def test_laws_that_need_a_claim_say_why_they_do_not_apply(own_variants: None) -> None:
    class Unclaimed(Right):
        variant = replace(Right.variant, keep_rate=False, matched=False, biased="as it is")

    checks = checks_of(Unclaimed)
    assert checks["noise mean is 1"].reason == "as it is"
    assert checks["evaluation is the mean"].passed is None
    assert checks["keep rate is 1 - p"].passed is None
    assert checks["variance is p / (1 - p)"].passed is None
    assert checks["no gradient where dropped"].passed is None


def test_what_raises_breaks_the_law_and_is_told(own_variants: None) -> None:
    class Raises(Right):
        def drop(self, x: Tensor) -> Tensor:
            raise RuntimeError("not written yet\nand more")

    check = checks_of(Raises)["noise mean is 1"]
    assert (check.passed, check.measured) == (False, "raises")
    assert check.reason == "RuntimeError: not written yet"


def test_the_same_numbers_come_out_each_time_and_the_random_state_is_kept() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = list(verify(["gaussian"]))
    torch.rand(7)
    assert list(verify(["gaussian"])) == first
    torch.manual_seed(5)
    list(verify(["unscaled"]))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_measured_number_stands_beside_its_bound() -> None:
    """Of the mean of inverted dropout's noise: within 5 standard errors, computed from n.

    The bound of the sparsest case, mask batch at p = 0.75, has 48 * 256 coins in each run.
    """
    checks = {check.check: check for check in verify(["inverted"])}
    found = checks["noise mean is 1"]
    claimed, _, bound = found.bound.partition(" ± ")
    assert (claimed, found.passed) == ("1", True)
    assert abs(found.measured - 1) <= float(bound)
    assert float(bound) <= 1.2 * 5 * math.sqrt(3 / (48 * 256))
