"""Lesson ``l2``: dropout on a linear model is an L2 penalty scaled by the data."""

import math
from collections.abc import Generator, Iterator

import torch
from torch import Tensor

from dropout_lab.checks.outcome import at_least, at_most
from dropout_lab.layers import InvertedDropout
from dropout_lab.lessons import LessonOptions
from dropout_lab.lessons.draws import noise_source, normal_draws
from dropout_lab.lessons.l2.experiment import (
    EXAMPLES,
    FEATURES,
    ROUNDING,
    SCALES,
    SGD_RUNS,
    SUM_ROUNDING,
    WEIGHT_FACTORS,
    EnumeratedDropout,
    LeastSquares,
    PenaltyRatios,
    Solutions,
    closed_form,
    condition_number,
    descend,
    expected_loss,
    logistic_penalties,
    make_problem,
    matching_ridge_strength,
    penalized_loss,
    plain_ridge,
    run_sgd,
)
from dropout_lab.lessons.l2.picture import draw_figure
from dropout_lab.lessons.parts import (
    Check,
    Formula,
    Misconception,
    Observation,
    Paragraph,
    Part,
    Plot,
    Progress,
    Section,
    Table,
)


def lesson(options: LessonOptions) -> Iterator[Part]:
    """Yield the parts of the lesson."""
    (p,) = options.p
    problem = make_problem(options.seed)
    dropout = EnumeratedDropout((p,), FEATURES)
    realized_p = float(dropout.p[0])  # the layer rounds p to a multiple of 1/65,536
    yield from _show_expectation(problem, dropout)
    plot_rates = (0.1, 0.3, 0.5, 0.7, 0.9) if options.quick else tuple(k / 20 for k in range(1, 20))
    yield Progress("descending on the expectation over all masks")
    path_dropout = EnumeratedDropout((*plot_rates, p), FEATURES)
    minima = descend(path_dropout, problem)
    yield Progress(f"{SGD_RUNS} runs of SGD with sampled masks")
    layer = InvertedDropout(torch.full((SGD_RUNS,), p), noise=noise_source(options.seed, 4))
    sgd_path = run_sgd(problem, layer, 2_000 if options.quick else 4_000)
    yield from _compare_solutions(problem, realized_p, minima[-1], sgd_path)
    yield from _show_sgd(closed_form(problem, realized_p), sgd_path)
    yield from _compare_units(problem, dropout)
    ratios = yield from _show_logistic(problem, realized_p)
    yield from _show_deep_network(options.seed, realized_p)
    solutions = Solutions(
        realized_p,
        path_dropout.p[:-1],
        minima[:-1],
        minima[-1],
        sgd_path[len(sgd_path) // 2 :].mean(dim=0),
    )
    yield Plot(
        lambda: draw_figure(problem, solutions, ratios),
        "the solutions side by side, their path over p, and how good the approximation is",
    )


def _show_expectation(problem: LeastSquares, dropout: EnumeratedDropout) -> Iterator[Part]:
    p = float(dropout.p[0])
    yield Section("Least squares under dropout, averaged over all masks")
    yield Paragraph(
        f"{EXAMPLES} examples, {FEATURES} features of different scale, and a linear model y = X w "
        "without a bias. Dropout takes features away: M holds a mask k / (1 - p) for each entry, "
        "M * X the noisy features. A noisy prediction has the mean X w, and a variance; a mean "
        "square is the square of the mean and the variance:"
    )
    yield Formula(
        "E |y - (M * X) w|^2 = |y - X w|^2 + p / (1 - p) sum_j (X^T X)_jj w_j^2\n"
        "                    = |y - X w|^2 + p / (1 - p) |Gamma w|^2\n"
        "Gamma = diag(X^T X)^(1/2)"
    )
    yield Paragraph(
        "Srivastava et al. write p for the chance of keeping and (1 - p) / p for the factor, after "
        "w was multiplied by their p: the same. The left side is now computed as it stands: our "
        f"layer with every one of its 2^{FEATURES} = {2**FEATURES} masks, each with its chance."
    )
    noisy_features = dropout(problem.x)
    weights_by_name = {
        "zero": torch.zeros(FEATURES).double(),
        "those that made y": problem.weights,
        "least squares": closed_form(problem, 0.0),
        "the ridge below": closed_form(problem, p),
    }
    rows, largest_error = [], 0.0
    for name, w in weights_by_name.items():
        expected = float(expected_loss(dropout, noisy_features, problem.y, w.unsqueeze(0)))
        penalized = float(penalized_loss(problem, dropout.p, w.unsqueeze(0)))
        squared = float(penalized_loss(problem, torch.zeros(1), w.unsqueeze(0)))
        largest_error = max(largest_error, abs(expected / penalized - 1))
        rows.append((name, squared, penalized - squared, penalized, expected))
    yield Table(
        f"per example, p = {p:.4g}",
        ("weights", "squared error", "penalty", "sum of both", "over all masks"),
        rows,
    )
    yield Observation(
        "The last two columns agree for any weights: dropout adds a penalty. Least squares has "
        "the smallest squared error, and the ridge below the smallest sum."
    )
    yield Check(
        "expectation has a penalty", at_most(largest_error, ROUNDING, "is how far it is off")
    )


def _compare_solutions(
    problem: LeastSquares, p: float, minimum: Tensor, sgd_path: Tensor
) -> Iterator[Part]:
    solution = closed_form(problem, p)
    sgd_averages = sgd_path[len(sgd_path) // 2 :].mean(dim=0)
    ridge = plain_ridge(problem, matching_ridge_strength(problem, p))
    columns = closed_form(problem, 0.0), solution, minimum, sgd_averages.mean(dim=0), ridge
    feature_sizes = problem.x.square().sum(dim=0)
    yield Section("Both solutions side by side")
    yield Formula("w = (X^T X + p / (1 - p) diag(X^T X))^-1 X^T y")
    yield Table(
        f"coefficients at p = {p:.4g}; SGD: mean of {SGD_RUNS} runs",
        ("scale", "no dropout", "closed form", "all masks", "SGD", "plain ridge"),
        [(f"{scale:g}", *(float(w[index]) for w in columns)) for index, scale in enumerate(SCALES)],
        digits=3,
    )
    yield Observation(
        "Closed form and gradient descent on the average over all masks are one. SGD with sampled "
        "masks comes near. Plain ridge is given the mean of (X^T X)_jj for every feature, so that "
        "its penalties sum to dropout's. That is "
        f"{float(feature_sizes.mean() / feature_sizes[0]):.3g} times dropout's on the smallest "
        "feature, whose coefficient must be large to matter, and "
        f"{float(feature_sizes.mean() / feature_sizes[-1]):.2g} times dropout's on the largest."
    )
    # The gradient has the rounding error of the expectation; the condition number amplifies the
    # error in the worst direction.
    bound = SUM_ROUNDING * condition_number(problem, p) * float(solution.abs().max())
    distance = float((minimum - solution).abs().max())
    yield Check("both have one minimum", at_most(distance, bound, "is between their coefficients"))


def _show_sgd(solution: Tensor, sgd_path: Tensor) -> Iterator[Part]:
    counts = [len(sgd_path) // 4**k for k in (3, 2, 1, 0)]
    rows = []
    for count in counts:
        errors = sgd_path[count // 2 : count].mean(dim=0) - solution  # (runs, features)
        run_error = float(errors.square().sum(dim=1).mean().sqrt() / solution.norm())
        standard_error = errors.std(dim=0) / math.sqrt(SGD_RUNS)
        mean_error = float(errors.mean(dim=0).norm() / solution.norm())
        largest_z_score = float((errors.mean(dim=0).abs() / standard_error).max())
        rows.append((count, f"{run_error:.2%}", f"{mean_error:.3%}", largest_z_score))
    yield Table(
        "SGD from least squares at a constant rate, average of the second half of its steps, to "
        f"the closed form; {SGD_RUNS} runs",
        ("steps", "one run is off", "their mean is off", "worst, in s.e."),
        rows,
        digits=3,
    )
    yield Observation(
        "First the start must be forgotten. Then only the luck of the masks is left: four times "
        "the steps about halve it, and the mean of the runs is right within a few standard errors."
    )
    description = f"is how far a coefficient, mean of {SGD_RUNS} runs, is off"
    yield Check.within_chance("SGD with masks finds it", rows[-1][3], description)


def _compare_units(problem: LeastSquares, dropout: EnumeratedDropout) -> Iterator[Part]:
    p = float(dropout.p[0])
    solution, strength = closed_form(problem, p), matching_ridge_strength(problem, p)
    unit_factors = torch.ones(FEATURES).double()
    unit_factors[0] = 10  # millimetres instead of centimetres
    rescaled = LeastSquares(problem.x * unit_factors, problem.y, problem.weights / unit_factors)
    rows = []
    for name, solution_before, rescaled_solution in (
        ("dropout", solution, closed_form(rescaled, p)),
        ("plain ridge", plain_ridge(problem, strength), plain_ridge(rescaled, strength)),
    ):
        prediction_change = (
            rescaled.x @ rescaled_solution - problem.x @ solution_before
        ).norm() / (problem.x @ solution_before).norm()
        rows.append(
            (
                name,
                float(solution_before[0]),
                float(rescaled_solution[0]),
                f"{float(prediction_change):.2%}",
            )
        )
    yield Section("Why scaled by the data matters: units")
    yield Paragraph(
        "The first feature is measured in a unit a tenth as large: its numbers grow tenfold."
    )
    yield Table(
        "coefficient of the first feature, and how far the predictions move",
        ("penalty", "before", "after", "predictions move"),
        rows,
    )
    yield Observation(
        "Under dropout the coefficient is a tenth of what it was, and nothing else happens. Plain "
        "ridge becomes another model. On features that are divided by their root mean square, "
        "the two are one."
    )
    w = (solution / unit_factors).unsqueeze(0).requires_grad_()
    loss = expected_loss(dropout, dropout(rescaled.x), rescaled.y, w)
    (gradient,) = torch.autograd.grad(loss.sum(), w)
    # Each gradient is a sum over masks and examples of 2 (y - x w) x; the terms give the scale.
    gradient_scale = 2 * (rescaled.x * rescaled.y.unsqueeze(1)).abs().mean(dim=0) / (1 - p)
    largest_slope = float((gradient[0] / gradient_scale).abs().max())
    description = "is the slope of the expectation there, as a share of its parts"
    yield Check("a minimum in any unit", at_most(largest_slope, ROUNDING, description))
    nearest_distance = min(
        float((plain_ridge(problem, strength * 10 ** (k / 20)) - solution).norm() / solution.norm())
        for k in range(-60, 61)
    )
    yield Paragraph(
        "Nor is it a matter of strength: of 121 strengths of plain ridge, a million times apart, "
        f"the nearest is {nearest_distance:.1%} of |w| away from dropout's solution."
    )
    description = "of |w| is how near plain ridge comes, no more than rounding"
    yield Check("plain ridge is another", at_least(nearest_distance, 100 * ROUNDING, description))
    yield Misconception(
        "Dropout is said to leave the weights free, so that L2 must be used beside it. Averaged "
        "over its masks, dropout on a linear model is a penalty on the weights: the larger p, "
        "the smaller |Gamma w|. One may use both; one need not."
    )


def _show_logistic(problem: LeastSquares, p: float) -> Generator[Part, None, PenaltyRatios]:
    """Yield the section on logistic regression; return the ratios for the plot."""
    yield Section("Logistic regression: only approximately")
    yield Paragraph(
        "Here the loss of an example is A(x b) - y x b, with A(z) = log(1 + e^z). Dropout adds "
        "E[A(noisy x b)] - A(x b), which holds no label. Wager, Wang and Liang (2013) take A's "
        "second derivative, s (1 - s) with s the probability of class 1:"
    )
    yield Formula("R ~ 1/2 p / (1 - p) sum_i s_i (1 - s_i) sum_j x_ij^2 b_j^2")
    ps = (0.05, 0.1, 0.3, 0.5, 0.7, 0.9)
    tables = {
        size: logistic_penalties(problem, EnumeratedDropout(ps, FEATURES), size)
        for size in WEIGHT_FACTORS
    }
    exact, quadratic, bounds = logistic_penalties(problem, EnumeratedDropout((p,), FEATURES), 1.0)
    ratios = torch.stack([quadratic / exact for exact, quadratic, _ in tables.values()])
    yield Table(
        f"the approximation over the exact penalty (all {2**FEATURES} masks); weights b = the "
        "factor times those that made y above",
        ("p", *(f"times {size:g}" for size in WEIGHT_FACTORS)),
        [(rate, *row) for rate, row in zip(ps, ratios.T.tolist(), strict=True)],
        digits=3,
    )
    largest_miss = float((ratios[:, 0] - 1).abs().max())
    yield Observation(
        "Exact would be 1. The approximation comes to it as the weights become smaller, at any p. "
        f"A small p does not bring it there: at p = {ps[0]:g} it is up to {largest_miss:.1%} off, "
        "since a dropped feature is missed whole. The penalty is adaptive: s (1 - s) is largest "
        "for the examples of which the model is unsure."
    )
    largest_ratio = float(((exact - quadratic).abs() / bounds).max())
    for exact_penalty, approximation, bound in tables.values():
        largest_ratio = max(
            largest_ratio, float(((exact_penalty - approximation).abs() / bound).max())
        )
    description = "of what Taylor's remainder, |A'''| / 6 E|noise of x b|^3, allows is the error"
    yield Check("Wager's form, its error", at_most(largest_ratio, 1.0, description))
    largest_error = float((ratios[WEIGHT_FACTORS.index(1.0)] - 1).abs().max())
    description = "is its largest relative error: it would be exact"
    yield Check("and it is not exact", at_least(largest_error, 100 * ROUNDING, description))
    return {size: (ps, row.tolist()) for size, row in zip(WEIGHT_FACTORS, ratios, strict=True)}


def _show_deep_network(seed: int, p: float) -> Iterator[Part]:
    """Yield the section on a network with a hidden layer."""
    units = FEATURES
    x, y = normal_draws((EXAMPLES, 4), seed, 5), normal_draws((EXAMPLES,), seed, 6)
    hidden_weights = normal_draws((4, units), seed, 7)
    output_weights = normal_draws((units,), seed, 8)
    dropout = EnumeratedDropout((p,), units)
    rows = []
    for name, factor in (("as drawn", 1.0), ("W doubled, v halved", 2.0)):
        w, v = factor * hidden_weights, output_weights / factor
        h = torch.relu(x @ w)
        squared_error = float((y - h @ v).square().mean())
        expected_error = float(expected_loss(dropout, dropout(h), y, v.unsqueeze(0)))
        l2 = float(w.square().sum() + v.square().sum())
        rows.append((name, squared_error, expected_error - squared_error, l2))
    yield Section("Deeper networks: no L2 at all")
    yield Paragraph("y = relu(x W) v with dropout on the hidden units, again with every mask.")
    yield Table(
        f"the same function twice, p = {p:.4g}",
        ("weights", "squared error", "dropout adds", "L2: |W|^2 + |v|^2"),
        rows,
    )
    yield Observation(
        "Doubling W and halving v changes no output, and nothing of what dropout adds. L2 changes. "
        "The same holds of any c > 0 times W and v / c. A sum of the squares of the weights, with "
        "whatever fixed factors above 0, grows beyond all bounds with c: dropout adds none such."
    )
    yield Misconception(
        "'Dropout is the same as L2' is told of all networks. It is true of linear regression, "
        "with the scaling by the data; of logistic regression approximately; and of deep networks "
        "not: the data that would do the scaling are hidden units, which are themselves learned."
    )
    change = abs(rows[1][2] / rows[0][2] - 1)  # multiplication by 2 is exact
    yield Check("deeper: what dropout adds", at_most(change, 0.0, "of it changes"))
    l2_change = abs(rows[1][3] / rows[0][3] - 1)
    yield Check("deeper: L2 is another", at_least(l2_change, ROUNDING, "of it changes"))
