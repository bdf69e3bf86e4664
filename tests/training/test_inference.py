"""How the trained network is used: enumerated sub-networks, brute force, and what must not move."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from dropout_lab.config.grid import Run
from dropout_lab.config.sections.evaluation import EvaluationSettings
from dropout_lab.data import Splits
from dropout_lab.layers import DropConnect, GaussianDropConnect, InvertedDropout, StandardDropout
from dropout_lab.lr_schedules import StepHyperparameters
from dropout_lab.model import MLP, fleet_p
from dropout_lab.rng import Purpose, stream
from dropout_lab.training import Fleet, infer, train
from dropout_lab.training import inference as inference_module
from dropout_lab.training.inference import (
    InferenceResults,
    moment_matched_logits,
    moment_matching,
    sample_predictions,
)
from tests.conftest import assert_same_bits, make_runs, make_sweep

CPU = torch.device("cpu")


def evaluation(*inference: str, **rest: int) -> EvaluationSettings:
    return EvaluationSettings(inference=("mean", *inference), **rest)


def network(*settings: str, seeds: tuple[int, ...] = (0,)) -> MLP:
    runs = make_runs(*settings, seeds=seeds)
    all_settings = [run.settings for run in runs]
    return MLP(all_settings[0], fleet_p(all_settings), seeds, CPU)


def sub_networks(
    x: Tensor, weight: Tensor, bias: Tensor, p: float, scale: float
) -> tuple[Tensor, Tensor]:
    """Return the chance of each of the 2^k masks, and the log-probabilities under it."""
    masks = torch.tensor(list(itertools.product([0.0, 1.0], repeat=len(x))))
    kept = masks.sum(dim=1)
    chance = (1 - p) ** kept * p ** (len(x) - kept)
    return chance, ((masks * x * scale) @ weight + bias).log_softmax(dim=1)


@pytest.mark.parametrize("p", [0.5, 0.3])
def test_weight_scaling_of_one_softmax_layer_is_the_geometric_mean(p: float, float64: None) -> None:
    """Of all 2^8 sub-networks, to 1e-12: Baldi & Sadowski (2013)."""
    x, weight, bias = torch.randn(8), torch.randn(8, 4), torch.randn(4)
    layer = StandardDropout(p).eval()
    realized = layer.p.item()
    chance, log_p = sub_networks(x, weight, bias, realized, 1.0)
    geometric = (chance.unsqueeze(1) * log_p).sum(dim=0).softmax(dim=0)
    scaled = (layer(x) @ weight + bias).softmax(dim=0)
    assert (geometric - scaled).abs().max() < 1e-12
    # The arithmetic mean is another thing.
    assert ((chance.unsqueeze(1) * log_p.exp()).sum(dim=0) - scaled).abs().max() > 1e-3


def test_monte_carlo_approaches_the_mean_of_all_sub_networks_with_the_root_of_t() -> None:
    """A net of one hidden layer of 8 units, all 2^8 sub-networks enumerated.

    The error of the average of T networks is sqrt(v / T) with v the variance over the
    sub-networks; its mean square over 60 repeats lies within 5 standard errors of v / T. An
    estimate of a variance from n values has the standard error sqrt(2 / n) of it, for normal
    errors; 30 probabilities enter, which are not independent, so n is 60.
    """
    model = network("model.hidden=[8]", "dropout.p=0.5")
    x = torch.rand(1, 3, 784)
    hidden: list[Tensor] = []
    with torch.no_grad():
        model.eval()(x, hidden)
    h, weight, bias = (
        hidden[0][0].double(),
        model.weights[1][0].double(),
        model.biases[1][0].double(),
    )
    exact, variance = [], []
    for example in h.detach():
        chance, log_p = sub_networks(example, weight.detach(), bias.detach()[0], 0.5, 2.0)
        mean = (chance.unsqueeze(1) * log_p.exp()).sum(dim=0)
        exact.append(mean)
        variance.append((chance.unsqueeze(1) * (log_p.exp() - mean) ** 2).sum(dim=0))
    repeats = 60
    with torch.no_grad(), model.noise_for(Purpose.INFERENCE):
        draws = torch.cat([log_p.exp() for log_p in sample_predictions(model, x, 64 * repeats)])
    for t in (1, 4, 16, 64):
        averages = draws[: t * repeats].view(repeats, t, 3, 10).mean(dim=1)
        squares = (averages - torch.stack(exact)).square().mean(dim=0)
        ratio = (squares.sum() / (torch.stack(variance).sum() / t)).item()
        assert abs(ratio - 1) < 5 * math.sqrt(2 / repeats), f"T = {t}: {ratio}"


def test_the_average_and_the_geometric_mean_are_those_of_the_networks_drawn(
    small_splits: Splits,
) -> None:
    """Draw by draw: the same streams, averaged the long way."""
    model = network("dropout.p=0.5", "dropout.placement=all", seeds=(0, 1))
    wanted = evaluation("monte_carlo", "geometric", samples=7)
    scores = infer(model, small_splits, wanted, (0, 1)).scores
    x = small_splits.pixels(small_splits.test.images).unsqueeze(0)
    with torch.no_grad(), model.noise_for(Purpose.INFERENCE):
        log_p = torch.stack(
            list(sample_predictions(model, x, 7))
        )  # (samples, runs, examples, classes)
    labels = small_splits.test.labels
    arithmetic, geometric = log_p.exp().mean(dim=0), log_p.mean(dim=0).softmax(dim=-1)
    for run in (0, 1):
        for name, p in (("monte_carlo", arithmetic), ("geometric", geometric)):
            of_label = p[run, torch.arange(len(labels)), labels]
            assert scores[name].loss[run].item() == pytest.approx(-of_label.log().mean().item())
            right = (p[run].argmax(dim=-1) == labels).double().mean().item()
            assert scores[name].accuracy[run].item() == pytest.approx(right)
        entropies = -(log_p.exp() * log_p).sum(dim=-1)[:, run]
        total = -(arithmetic * arithmetic.log()).sum(dim=-1)[run]
        information = scores["monte_carlo"].mutual_information
        assert information is not None
        assert information[run].item() == pytest.approx(
            (total - entropies.mean(dim=0)).mean().item()
        )


@pytest.mark.parametrize(
    ("variant", "samples"), [("dropconnect", 10_000), ("gaussian_dropconnect", 10_000)]
)
def test_moment_matching_has_the_mean_logits_of_brute_force(variant: str, samples: int) -> None:
    """Against 10,000 masks, as in the paper over the weights that lead into the hidden units.

    Both means are estimates; their standard errors add up as squares.
    """
    model = network(
        f"dropout.variant={variant}", "dropout.mask=batch", "dropout.placement=[0]",
        "model.hidden=[32]", "dropout.p=0.5",
    )  # fmt: skip
    x = torch.rand(1, 2, 784)
    with torch.no_grad(), model.noise_for(Purpose.INFERENCE):
        model.train()
        brute = torch.cat([model(x) for _ in range(samples)]).double()  # (samples, 2, 10)
        dropout, weight, bias = model.places()[0]
        mean, variance = dropout.moments(x, weight, bias)
        units = torch.cat(
            [
                model.activation(mean + variance.sqrt() * dropout.noise.normal(mean.shape, CPU))
                for _ in range(samples)
            ]
        )
        _, out_weight, out_bias = model.places()[1]
        matched = (units @ out_weight[0] + out_bias[0]).double()
    error = (brute.var(dim=0) / samples + matched.var(dim=0) / samples).sqrt()
    deviations = (brute.mean(dim=0) - matched.mean(dim=0)).abs() / error
    assert deviations.max() < 5
    # And the mean rule is not it: E[relu(z)] is above relu(E[z]).
    with torch.no_grad():
        clean = model.eval()(x)[0].double()
    assert ((clean - brute.mean(dim=0)).abs() / error).max() > 5
    with torch.no_grad(), model.noise_for(Purpose.INFERENCE, 1):
        ours = next(iter(moment_matched_logits(model, x, 2_000)))[0].double()
    assert ((ours - brute.mean(dim=0)).abs() / (error * math.sqrt(1 + samples / 2_000))).max() < 5


def test_moments_by_hand(float64: None) -> None:
    """One example (1, 2), weights 3 and 4, bias 5, p = 0.5: mean 16, variance 9 + 64 (+ 25)."""
    x, weight, bias = (
        torch.tensor([[[1.0, 2.0]]]),
        torch.tensor([[[3.0], [4.0]]]),
        torch.tensor(5.0),
    )
    bias = bias.view(1, 1, 1)
    for layer, expected in ((DropConnect(0.5), 98.0), (GaussianDropConnect(0.5), 73.0)):
        mean, variance = layer.moments(x, weight, bias)
        assert mean.item() == 16
        assert variance is not None
        assert variance.item() == pytest.approx(expected)


def test_moment_matching_of_a_dropped_output_layer_averages_its_softmax() -> None:
    """Against the networks themselves: one layer of weights is dropped, so nothing is matched."""
    model = network(
        "dropout.variant=gaussian_dropconnect", "dropout.placement=hidden", "model.hidden=[32]"
    )
    x = torch.rand(1, 4, 784)
    with torch.no_grad(), model.noise_for(Purpose.INFERENCE):
        draws = torch.stack([log_p.exp() for log_p in sample_predictions(model, x, 4_000)])
    with torch.no_grad(), model.noise_for(Purpose.INFERENCE, 1):
        matched = moment_matching(model.eval(), x, 4_000).exp()
    error = draws.std(dim=0) * math.sqrt(2 / 4_000)
    assert ((matched - draws.mean(dim=0)).abs() / error).max() < 5


def test_variants_without_a_closed_form_say_so() -> None:
    with pytest.raises(NotImplementedError):
        InvertedDropout(0.5).moments(torch.ones(1, 1, 2), torch.ones(1, 2, 1), torch.ones(1, 1, 1))


EVERYTHING = (
    "evaluation.inference=[mean,monte_carlo,geometric,moment_matching,ensemble]",
    "evaluation.samples=3",
    "evaluation.curve=2",
)
DROPCONNECT = ("dropout.variant=dropconnect", "dropout.mask=batch", "training.epochs=2")


def test_inference_touches_neither_streams_nor_modes_nor_weights(small_splits: Splits) -> None:
    """Measured in the middle of an epoch and after each: the weights end the same to the bit."""
    plain, measured = (Fleet(make_runs(*DROPCONNECT, *EVERYTHING), CPU) for _ in range(2))
    list(train(plain, small_splits))
    step = measured.optimizer.step
    modes: list[bool] = []

    def watched(losses: Tensor, rate: StepHyperparameters) -> None:
        if measured.updates in (0, 5):
            infer(measured.model, small_splits, measured.settings.evaluation, measured.seeds)
            modes.extend(module.training for module in measured.model.modules())
        step(losses, rate)

    measured.optimizer.step = watched
    list(train(measured, small_splits))
    assert_same_bits(plain, measured)
    assert modes
    assert all(modes)


def test_a_run_with_inference_has_the_weights_of_one_without(small_splits: Splits) -> None:
    fleets = [Fleet(make_runs(*DROPCONNECT, *settings), CPU) for settings in ((), EVERYTHING)]
    for fleet in fleets:
        list(train(fleet, small_splits))
        infer(fleet.model, small_splits, fleet.settings.evaluation, fleet.seeds)
    assert_same_bits(*fleets)


def test_an_exception_leaves_modes_and_streams_as_they_were(
    small_splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = network()
    model.open_epoch(1)
    before = [noise._noise for noise in model.noise_sources]

    def fail(*args: object) -> Tensor:
        raise RuntimeError("in the middle")

    monkeypatch.setattr(InvertedDropout, "drop", fail)
    with pytest.raises(RuntimeError, match="in the middle"):
        infer(model, small_splits, evaluation("monte_carlo"), (0,))
    assert model.training
    assert all(layer.training for layer in model.dropouts)
    assert all(now._noise is then for now, then in zip(model.noise_sources, before, strict=True))


def test_a_run_is_measured_the_same_in_a_fleet_as_alone(small_splits: Splits) -> None:
    wanted = (
        "evaluation.inference=[monte_carlo,geometric]",
        "evaluation.samples=4",
        "evaluation.curve=3",
    )
    runs = make_sweep("dropout.p=0.25,0.5", *wanted, seeds=(0, 1))
    together = infer_all(runs, small_splits)
    for index, run in enumerate(runs):
        alone = infer_all([run], small_splits)
        for name, scores in alone.scores.items():
            ours = together.scores[name].loss[index].item()
            assert ours == pytest.approx(scores.loss.item(), rel=1e-5)
        assert together.curve is not None
        assert alone.curve is not None
        torch.testing.assert_close(together.curve.loss_mean[index], alone.curve.loss_mean[0])


def infer_all(runs: list[Run], splits: Splits) -> InferenceResults:
    fleet = Fleet(runs, CPU)
    return infer(fleet.model, splits, fleet.settings.evaluation, fleet.seeds)


def test_the_curve_starts_at_single_networks_and_ends_near_monte_carlo(
    small_splits: Splits,
) -> None:
    """Trained a little; k = 1 is the mean of single networks, within 5 standard errors."""
    runs = make_runs(
        "evaluation.inference=monte_carlo", "evaluation.samples=60", "evaluation.curve=40"
    )
    fleet = Fleet(runs, CPU)
    list(train(fleet, small_splits))
    inferred = infer(fleet.model, small_splits, fleet.settings.evaluation, fleet.seeds)
    curve = inferred.curve
    assert curve is not None
    assert curve.accuracy_mean.shape == (1, 40)
    x = small_splits.pixels(small_splits.test.images).unsqueeze(0)
    labels = small_splits.test.labels
    with torch.no_grad(), fleet.model.noise_for(Purpose.INFERENCE):
        single = [
            (log_p[0].argmax(dim=-1) == labels).double().mean()
            for log_p in sample_predictions(fleet.model, x, 60)
        ]
    accuracies = torch.stack(single)
    standard_error = accuracies.std() / 100**0.5
    assert abs(curve.accuracy_mean[0, 0] - accuracies.mean()) < 5 * standard_error
    assert curve.loss_mean[0, 0] > curve.loss_mean[0, 4] > curve.loss_mean[0, 39]
    assert curve.accuracy_sd[0, 39] < curve.accuracy_sd[0, 0]
    all_of_them = inferred.scores["monte_carlo"].loss[0]
    assert abs(curve.loss_mean[0, 39] - all_of_them) < 5 * curve.loss_sd[0, 39]


def test_the_probabilities_kept_for_the_ensemble_are_those_of_the_mean(
    small_splits: Splits,
) -> None:
    fleet = Fleet(make_runs("evaluation.inference=ensemble", seeds=(0, 1)), CPU)
    inferred = infer(fleet.model, small_splits, fleet.settings.evaluation, fleet.seeds)
    assert inferred.log_probabilities is not None
    x = small_splits.pixels(small_splits.test.images).unsqueeze(0)
    with torch.no_grad():
        log_p = fleet.model.eval()(x).log_softmax(dim=-1)
        torch.testing.assert_close(inferred.log_probabilities, log_p)


def test_chunks_and_the_curve_the_long_way(
    small_splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In chunks of 400, 400 and 200 examples: averages of the first k picks, s.d. with n - 1."""
    monkeypatch.setattr(inference_module, "CHUNK", 400)
    model = network("dropout.p=0.5", seeds=(0, 1))
    wanted = evaluation("monte_carlo", "ensemble", samples=5, curve=5)
    inferred = infer(model, small_splits, wanted, (0, 1))
    x = small_splits.pixels(small_splits.test.images).unsqueeze(0)
    labels = small_splits.test.labels
    chunks = []
    for chunk, part in enumerate(x.split(400, dim=1)):  # each has streams of its own
        with torch.no_grad(), model.noise_for(Purpose.INFERENCE, chunk):
            chunks.append(torch.stack(list(sample_predictions(model, part, 5))))
    pool = torch.cat(chunks, dim=2).exp()  # (samples, runs, examples, classes)
    curve, scores = inferred.curve, inferred.scores["monte_carlo"]
    assert curve is not None
    for run, seed in enumerate((0, 1)):
        of_label = pool.mean(dim=0)[run, torch.arange(len(labels)), labels]
        assert scores.loss[run].item() == pytest.approx(-of_label.log().mean().item())
        picks = stream(Purpose.INFERENCE, seed).integers(5, size=(100, 5))
        for k in (1, 2, 5):
            p = pool[:, run][picks[:, :k]].mean(dim=1)  # (repeats, examples, classes)
            right = (p.argmax(dim=-1) == labels).double().mean(dim=-1)
            loss = -p[:, torch.arange(len(labels)), labels].double().log().mean(dim=-1)
            found = [values[run, k - 1].item() for values in vars(curve).values()]
            expected = [right.mean(), right.std(), loss.mean(), loss.std()]
            assert found == pytest.approx([value.item() for value in expected], rel=1e-4)
    assert inferred.log_probabilities is not None
    with torch.no_grad():
        torch.testing.assert_close(inferred.log_probabilities, model.eval()(x).log_softmax(dim=-1))


@pytest.mark.parametrize("mode", [True, False])
def test_inference_leaves_the_mode_as_it_was(mode: bool, small_splits: Splits) -> None:
    model = network("dropout.p=0.5").train(mode)
    infer(model, small_splits, evaluation("monte_carlo", samples=1), (0,))
    assert all(module.training == mode for module in model.modules())


def test_as_many_logits_are_drawn_as_samples_were_asked_for() -> None:
    x = torch.rand(1, 2, 784)
    for placement, count in (("hidden", 7), ("[0]", 1)):
        model = network("dropout.variant=gaussian_dropconnect", f"dropout.placement={placement}")
        with torch.no_grad(), model.noise_for(Purpose.INFERENCE):
            assert len(list(moment_matched_logits(model, x, 7))) == count


def test_moments_follow_the_p_of_each_run(float64: None) -> None:
    """As above at p = 1/4 and 1/2: the odds p / (1 - p) are 1/3 and 1, the mean is 16."""
    x, weight = torch.tensor([[[1.0, 2.0]]] * 2), torch.tensor([[[3.0], [4.0]]] * 2)
    bias, p = torch.full((2, 1, 1), 5.0), torch.tensor([0.25, 0.5])
    for layer, expected in ((DropConnect(p), 98.0), (GaussianDropConnect(p), 73.0)):
        mean, variance = layer.moments(x, weight, bias)
        assert mean.flatten().tolist() == [16, 16]
        assert variance.flatten().tolist() == pytest.approx([expected / 3, expected])
    _, variance = DropConnect(1.0).moments(x[0], weight[0], bias[0])
    assert variance.item() == 0


def test_what_is_asked_for_beside_it_changes_no_inference(small_splits: Splits) -> None:
    """Each way to use the network has streams of its own."""
    model = network("dropout.variant=gaussian_dropconnect", "dropout.placement=all")
    alone = infer(model, small_splits, evaluation("moment_matching", samples=3), (0,))
    both = evaluation("monte_carlo", "moment_matching", samples=3)
    beside = infer(model, small_splits, both, (0,))
    for name, scores in alone.scores.items():
        assert scores.loss.item() == beside.scores[name].loss.item()


def test_a_probability_below_float32_has_a_finite_loss(small_splits: Splits) -> None:
    """Networks that are sure of the wrong class, by 300 nats: e^-300 is 0 in float32."""
    model = network("model.hidden=[8]", "dropout.p=0.5")
    with torch.no_grad():
        model.biases[1][:] = torch.tensor([300.0] + [0.0] * 9)
    wanted = evaluation("monte_carlo", "ensemble", samples=4, curve=4)
    inferred = infer(model, small_splits, wanted, (0,))
    assert inferred.curve is not None
    assert inferred.log_probabilities is not None
    assert inferred.curve.loss_mean.isfinite().all()
    assert inferred.curve.loss_mean[0, 0].item() == pytest.approx(
        inferred.scores["mean"].loss.item(), rel=0.1
    )
    assert inferred.log_probabilities.isfinite().all()
