"""The checks of ``dropout-lab verify``: each function tests one property of a dropout variant."""

from collections.abc import Callable, Iterable, Iterator

import torch

from dropout_lab.checks.draws import (
    a_mask_for_each_example,
    a_run_draws_alone_as_in_company,
    examples_are_not_dropped,
    one_mask_for_a_batch,
    same_seed_same_draws,
    steps_draw_anew,
    steps_leave_no_trace,
)
from dropout_lab.checks.modes import (
    evaluation_draws_nothing,
    evaluation_keeps_the_mode,
    noise_comes_back,
    two_evaluations_are_equal,
)
from dropout_lab.checks.moments import (
    evaluation_is_the_mean,
    keep_rate_is_1_minus_p,
    noise_mean_is_1,
    variance_is_that_of_dropout,
)
from dropout_lab.checks.numbers import (
    any_shape,
    dtype_is_kept,
    finite_at_every_p,
    gradient_is_the_slope,
    no_gradient_where_dropped,
    p_0_changes_no_bit,
    p_out_of_range_is_refused,
    p_takes_effect_at_once,
    state_dict_of_nn_dropout_loads,
)
from dropout_lab.checks.outcome import CheckResult, Outcome, failed_with
from dropout_lab.checks.subject import SEED, Subject

CHECKS: dict[str, Callable[[Subject], Outcome]] = {
    "p = 0 changes no bit": p_0_changes_no_bit,
    "p takes effect at once": p_takes_effect_at_once,
    "p out of range is refused": p_out_of_range_is_refused,
    "finite at every p": finite_at_every_p,
    "any shape": any_shape,
    "dtype is kept": dtype_is_kept,
    "evaluation draws nothing": evaluation_draws_nothing,
    "two evaluations are equal": two_evaluations_are_equal,
    "the mode is kept": evaluation_keeps_the_mode,
    "noise comes back": noise_comes_back,
    "noise mean is 1": noise_mean_is_1,
    "evaluation is the mean": evaluation_is_the_mean,
    "keep rate is 1 - p": keep_rate_is_1_minus_p,
    "variance is p / (1 - p)": variance_is_that_of_dropout,
    "a mask for each example": a_mask_for_each_example,
    "one mask for a batch": one_mask_for_a_batch,
    "no example is dropped": examples_are_not_dropped,
    "each step draws new noise": steps_draw_anew,
    "same seed, same draws": same_seed_same_draws,
    "steps leave no trace": steps_leave_no_trace,
    "alone as in a fleet": a_run_draws_alone_as_in_company,
    "gradient is the slope": gradient_is_the_slope,
    "no gradient where dropped": no_gradient_where_dropped,
    "nn.Dropout's state loads": state_dict_of_nn_dropout_loads,
}


def verify(names: Iterable[str], checks: Iterable[str] = tuple(CHECKS)) -> Iterator[CheckResult]:
    """Run checks on variants, and yield the results. Restores the global random state.

    Args:
        names: Names of variants in the catalogue.
        checks: Keys of ``CHECKS``; by default all.
    """
    titles = list(checks)
    for name in names:
        subject = Subject(name)
        for title in titles:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(SEED)
                outcome = _run(CHECKS[title], subject)
            yield CheckResult(
                title, name, outcome.measured, outcome.bound, outcome.passed, _why(outcome)
            )


def _run(check: Callable[[Subject], Outcome], subject: Subject) -> Outcome:
    try:
        return check(subject)
    except Exception as error:  # a check that raises has failed
        return failed_with(error)


def _why(outcome: Outcome) -> str:
    return "" if outcome.passed else outcome.reason


__all__ = ["CHECKS", "CheckResult", "verify"]
