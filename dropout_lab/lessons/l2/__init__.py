"""Lesson ``l2``: dropout on a linear model is an L2 penalty scaled by the data."""

import math
from collections.abc import Generator, Iterator

import torch
from torch import Tensor

from dropout_lab.checks.outcome import at_least, at_most
from dropout_lab.layers import InvertedDropout
from dropout_lab.lessons import LessonOptions, parts
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


def lesson(options: LessonOptions) -> Iterator[parts.Part]:
    """Yield the parts of the lesson."""
    (p,) = options.p
    problem = make_problem(options.seed)
    dropout = EnumeratedDropout((p,), FEATURES)
    realized_p = float(dropout.p[0])  # the layer rounds p to a multiple of 1/65,536
    yield from _show_expectation(problem, dropout)
    plot_rates = (0.1, 0.3, 0.5, 0.7, 0.9) if options.quick else tuple(k / 20 for k in range(1, 20))
    yield parts.Progress("running gradient descent on the expectation over all masks")
    path_dropout = EnumeratedDropout((*plot_rates, p), FEATURES)
    minima = descend(path_dropout, problem)
    yield parts.Progress(f"running SGD with sampled masks {SGD_RUNS} times")
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
    yield parts.Plot(
        lambda: draw_figure(problem, solutions, ratios),
        "the solutions, their path over p, and the accuracy of the approximation",
    )


def _show_expectation(problem: LeastSquares, dropout: EnumeratedDropout) -> Iterator[parts.Part]:
    p = float(dropout.p[0])
    yield parts.Section("Least squares under dropout, averaged over all masks")
    yield parts.Paragraph(
        f"The data are {EXAMPLES} examples with {FEATURES} features of different scale. The "
        "model is linear without a bias: y = X w. Dropout removes features: M holds a mask k / "
        "(1 - p) for each entry, and M * X are the noisy features. A noisy prediction has the "
        "mean X w and a variance. Its mean square is the square of the mean plus the variance:"
    )
    yield parts.Formula(
        "E |y - (M * X) w|^2 = |y - X w|^2 + p / (1 - p) sum_j (X^T X)_jj w_j^2\n"
        "                    = |y - X w|^2 + p / (1 - p) |Gamma w|^2\n"
        "Gamma = diag(X^T X)^(1/2)"
    )
    yield parts.Paragraph(
        "Srivastava et al. write p for the probability of keeping, and (1 - p) / p for the "
        "factor, after multiplying w by their p. This is the same formula. The lesson computes "
        f"the left side directly. It runs our layer with each of its 2^{FEATURES} = "
        f"{2**FEATURES} masks and weights each mask by its probability."
    )
    noisy_features = dropout(problem.x)
    weights_by_name = {
        "zero": torch.zeros(FEATURES).double(),
        "true weights": problem.weights,
        "least squares": closed_form(problem, 0.0),
        "ridge (see below)": closed_form(problem, p),
    }
    rows, largest_error = [], 0.0
    for name, w in weights_by_name.items():
        expected = float(expected_loss(dropout, noisy_features, problem.y, w.unsqueeze(0)))
        penalized = float(penalized_loss(problem, dropout.p, w.unsqueeze(0)))
        squared = float(penalized_loss(problem, torch.zeros(1), w.unsqueeze(0)))
        largest_error = max(largest_error, abs(expected / penalized - 1))
        rows.append((name, squared, penalized - squared, penalized, expected))
    yield parts.Table(
        f"loss per example, p = {p:.4g}",
        ("weights", "squared error", "penalty", "sum", "mean over all masks"),
        rows,
    )
    yield parts.Observation(
        "The last two columns agree for any weights, so dropout adds a penalty. Least squares "
        "has the smallest squared error. The ridge solution of the next section has the "
        "smallest sum."
    )
    yield parts.Check(
        "expectation has a penalty",
        at_most(largest_error, ROUNDING, "is the largest relative difference"),
    )


def _compare_solutions(
    problem: LeastSquares, p: float, minimum: Tensor, sgd_path: Tensor
) -> Iterator[parts.Part]:
    solution = closed_form(problem, p)
    sgd_averages = sgd_path[len(sgd_path) // 2 :].mean(dim=0)
    ridge = plain_ridge(problem, matching_ridge_strength(problem, p))
    columns = closed_form(problem, 0.0), solution, minimum, sgd_averages.mean(dim=0), ridge
    feature_sizes = problem.x.square().sum(dim=0)
    yield parts.Section("The solutions compared")
    yield parts.Formula("w = (X^T X + p / (1 - p) diag(X^T X))^-1 X^T y")
    yield parts.Table(
        f"coefficients at p = {p:.4g}; SGD: mean of {SGD_RUNS} runs",
        ("scale", "no dropout", "closed form", "all masks", "SGD", "plain ridge"),
        [(f"{scale:g}", *(float(w[index]) for w in columns)) for index, scale in enumerate(SCALES)],
        digits=3,
    )
    yield parts.Observation(
        "The closed form and gradient descent on the mean over all masks give the same "
        "solution. SGD with sampled masks comes close. Plain ridge penalizes every feature by "
        "the mean of (X^T X)_jj, so its penalties sum to those of dropout. For the smallest "
        f"feature this penalty is {float(feature_sizes.mean() / feature_sizes[0]):.3g} times "
        "dropout's, although the feature needs a large coefficient to matter. For the largest "
        f"feature it is {float(feature_sizes.mean() / feature_sizes[-1]):.2g} times dropout's."
    )
    # The gradient has the rounding error of the expectation; the condition number amplifies the
    # error in the worst direction.
    bound = SUM_ROUNDING * condition_number(problem, p) * float(solution.abs().max())
    distance = float((minimum - solution).abs().max())
    yield parts.Check(
        "both have one minimum",
        at_most(distance, bound, "is the largest difference between their coefficients"),
    )


def _show_sgd(solution: Tensor, sgd_path: Tensor) -> Iterator[parts.Part]:
    counts = [len(sgd_path) // 4**k for k in (3, 2, 1, 0)]
    rows = []
    for count in counts:
        errors = sgd_path[count // 2 : count].mean(dim=0) - solution  # (runs, features)
        run_error = float(errors.square().sum(dim=1).mean().sqrt() / solution.norm())
        standard_error = errors.std(dim=0) / math.sqrt(SGD_RUNS)
        mean_error = float(errors.mean(dim=0).norm() / solution.norm())
        largest_z_score = float((errors.mean(dim=0).abs() / standard_error).max())
        rows.append((count, f"{run_error:.2%}", f"{mean_error:.3%}", largest_z_score))
    yield parts.Table(
        "distance from the closed form: SGD from least squares at a constant rate, average of "
        f"the second half of its steps; {SGD_RUNS} runs",
        ("steps", "one run", "mean of the runs", "worst coefficient, in SE"),
        rows,
        digits=3,
    )
    yield parts.Observation(
        "At first SGD must forget its start. Then only the random masks cause errors: four "
        "times as many steps about halve the error of one run. The mean of the runs is right "
        "within a few standard errors."
    )
    description = f"is the largest error of a coefficient, mean of {SGD_RUNS} runs"
    yield parts.Check.within_chance("SGD with masks finds it", rows[-1][3], description)


def _compare_units(problem: LeastSquares, dropout: EnumeratedDropout) -> Iterator[parts.Part]:
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
        before, after = problem.x @ solution_before, rescaled.x @ rescaled_solution
        change = f"{float((after - before).norm() / before.norm()):.2%}"
        rows.append((name, float(solution_before[0]), float(rescaled_solution[0]), change))
    yield parts.Section("Why the scaling by the data matters: units of measurement")
    yield parts.Paragraph(
        "The first feature is now measured in a unit a tenth as large, so its numbers are ten "
        "times as large."
    )
    yield parts.Table(
        "coefficient of the first feature, and the change of the predictions",
        ("penalty", "before", "after", "change of predictions"),
        rows,
    )
    yield parts.Observation(
        "Under dropout, the coefficient becomes a tenth of its old value, and nothing else "
        "changes. Plain ridge becomes another model. If each feature is divided by its root "
        "mean square, dropout and plain ridge are the same."
    )
    w = (solution / unit_factors).unsqueeze(0).requires_grad_()
    loss = expected_loss(dropout, dropout(rescaled.x), rescaled.y, w)
    (gradient,) = torch.autograd.grad(loss.sum(), w)
    # Each gradient is a sum over masks and examples of 2 (y - x w) x; the terms give the scale.
    gradient_scale = 2 * (rescaled.x * rescaled.y.unsqueeze(1)).abs().mean(dim=0) / (1 - p)
    largest_slope = float((gradient[0] / gradient_scale).abs().max())
    description = "is the gradient of the expectation there, relative to its terms"
    yield parts.Check("a minimum in any unit", at_most(largest_slope, ROUNDING, description))
    nearest_distance = min(
        float((plain_ridge(problem, strength * 10 ** (k / 20)) - solution).norm() / solution.norm())
        for k in range(-60, 61)
    )
    yield parts.Paragraph(
        "No strength of plain ridge gives dropout's solution. Of 121 strengths over a range of "
        f"a million, the nearest is {nearest_distance:.1%} of |w| away from it."
    )
    description = "of |w| is the smallest distance of plain ridge; rounding alone is smaller"
    yield parts.Check(
        "plain ridge differs", at_least(nearest_distance, 100 * ROUNDING, description)
    )
    yield parts.Misconception(
        "'Dropout does not restrict the weights, so it needs L2 as well.' Averaged over its "
        "masks, dropout on a linear model is a penalty on the weights: the larger p, the "
        "smaller |Gamma w|. You may use both, but you need not."
    )


def _show_logistic(problem: LeastSquares, p: float) -> Generator[parts.Part, None, PenaltyRatios]:
    """Yield the section on logistic regression; return the ratios for the plot."""
    yield parts.Section("Logistic regression: only approximately")
    yield parts.Paragraph(
        "The loss of an example is A(x b) - y x b, with A(z) = log(1 + e^z). Dropout adds "
        "E[A(noisy x b)] - A(x b), which contains no label. Wager, Wang and Liang (2013) "
        "approximate this penalty with the second derivative of A, s (1 - s), where s is the "
        "probability of class 1:"
    )
    yield parts.Formula("R ~ 1/2 p / (1 - p) sum_i s_i (1 - s_i) sum_j x_ij^2 b_j^2")
    ps = (0.05, 0.1, 0.3, 0.5, 0.7, 0.9)
    tables = {
        size: logistic_penalties(problem, EnumeratedDropout(ps, FEATURES), size)
        for size in WEIGHT_FACTORS
    }
    exact, quadratic, bounds = logistic_penalties(problem, EnumeratedDropout((p,), FEATURES), 1.0)
    ratios = torch.stack([quadratic / exact for exact, quadratic, _ in tables.values()])
    yield parts.Table(
        f"the approximation divided by the exact penalty (all {2**FEATURES} masks); weights b = "
        "a factor times the true weights above",
        ("p", *(f"factor {size:g}" for size in WEIGHT_FACTORS)),
        [(rate, *row) for rate, row in zip(ps, ratios.T.tolist(), strict=True)],
        digits=3,
    )
    largest_miss = float((ratios[:, 0] - 1).abs().max())
    yield parts.Observation(
        "An exact formula would give 1. The approximation approaches 1 as the weights become "
        f"smaller, at any p. A small p alone is not enough: at p = {ps[0]:g} the error is up to "
        f"{largest_miss:.1%}, since a dropped feature is missing completely. The penalty is "
        "adaptive: s (1 - s) is largest for examples about which the model is unsure."
    )
    largest_ratio = float(((exact - quadratic).abs() / bounds).max())
    for exact_penalty, approximation, bound in tables.values():
        largest_ratio = max(
            largest_ratio, float(((exact_penalty - approximation).abs() / bound).max())
        )
    description = "of the bound from Taylor's remainder, |A'''| / 6 E|noise of x b|^3, is the error"
    yield parts.Check("error of Wager's formula", at_most(largest_ratio, 1.0, description))
    largest_error = float((ratios[WEIGHT_FACTORS.index(1.0)] - 1).abs().max())
    description = "is its largest relative error; an exact formula has none"
    yield parts.Check("Wager's is not exact", at_least(largest_error, 100 * ROUNDING, description))
    return {size: (ps, row.tolist()) for size, row in zip(WEIGHT_FACTORS, ratios, strict=True)}


def _show_deep_network(seed: int, p: float) -> Iterator[parts.Part]:
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
    yield parts.Section("Deeper networks: not an L2 penalty")
    yield parts.Paragraph(
        "The model is y = relu(x W) v with dropout on the hidden units, again with every mask."
    )
    yield parts.Table(
        f"the same function with two sets of weights, p = {p:.4g}",
        ("weights", "squared error", "dropout adds", "L2: |W|^2 + |v|^2"),
        rows,
    )
    yield parts.Observation(
        "Doubling W and halving v changes neither the outputs nor the penalty that dropout "
        "adds. It does change L2. The same holds for c W and v / c with any c > 0. A sum of "
        "squared weights with fixed positive factors grows without limit as c grows. Dropout's "
        "penalty does not change, so it is no such sum."
    )
    yield parts.Misconception(
        "'Dropout is the same as L2 in every network.' In linear regression this is true, with "
        "the scaling by the data. In logistic regression it is approximately true. In deep "
        "networks it is false: the data that scale the penalty would be hidden units, which are "
        "learned themselves."
    )
    change = abs(rows[1][2] / rows[0][2] - 1)  # multiplication by 2 is exact
    yield parts.Check("deep: dropout's penalty", at_most(change, 0.0, "is the relative change"))
    l2_change = abs(rows[1][3] / rows[0][3] - 1)
    yield parts.Check("deep: L2 penalty", at_least(l2_change, ROUNDING, "is the relative change"))
