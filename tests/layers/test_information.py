"""Information dropout by hand, its log-normal noise, and the information."""

import math

import pytest
import torch
from scipy import stats

from dropout_lab.layers import InformationDropout
from tests.recorded import Recorded


def set_up(p: float, slope: list[float], offset: list[float], **options: object):
    layer = InformationDropout(p, **options)
    layer.setup(torch.ones(len(slope), 3), "relu")
    with torch.no_grad():
        layer.slope.copy_(torch.tensor([slope]))
        layer.offset.copy_(torch.tensor([offset]))
    return layer


def test_by_hand() -> None:
    """P = 1 - 1/e^(1/4): alpha_0 = 1/2. The logits of the units are 0 and log 3: alpha 1/2, 3/4."""
    p = 1 - math.exp(-0.25)
    noise = Recorded(torch.tensor([[2.0, -1.0]]))
    layer = set_up(p, [0.0, 0.5], [0.0, math.log(3) - 1], noise=noise)
    x = torch.tensor([[3.0, 2.0]])
    wanted = [3 * math.exp(1 - 0.125), 2 * math.exp(-0.75 - 0.28125)]
    torch.testing.assert_close(layer(x), torch.tensor([wanted]))
    assert torch.equal(layer.eval()(x), x)


def test_the_noise_is_log_normal_of_mean_1(float64: None) -> None:
    """Kolmogorov and Smirnov's distance, whose chance is not below 1e-4."""
    alpha = math.sqrt(-math.log(0.7))
    noise = InformationDropout(0.3)(torch.ones(20_000)).detach().numpy()
    law = stats.lognorm(alpha, scale=math.exp(-(alpha**2) / 2))
    assert stats.kstest(noise, law.cdf).pvalue > 1e-4
    assert law.mean() == pytest.approx(1)
    assert law.var() == pytest.approx(0.3 / 0.7)


def test_the_information_by_hand() -> None:
    """Log(2 alpha_0 / alpha) = log(1 + e^-logit): log 2 and log(4/3); 0 where a unit is 0."""
    layer = set_up(0.2, [0.0, 0.5], [0.0, math.log(3) - 1], kl_weight=0.5)
    x = torch.tensor([[3.0, 2.0], [1.0, 0.0]])
    wanted = 0.5 * (2 * math.log(2) + math.log(4 / 3)) / 2
    assert float(layer.batch_penalty(x, 1.0).detach()) == pytest.approx(wanted)


def test_the_information_is_the_kl_of_the_noise_to_a_log_uniform_prior() -> None:
    """It differs from minus the entropy of log y by a constant: alpha shifts it by -log alpha."""
    layer = set_up(0.2, [0.0], [0.0], kl_weight=1.0)
    entropies, found = [], []
    for offset in (-1.0, 0.0, 2.0):
        with torch.no_grad():
            layer.offset.fill_(offset)
        alpha = 2 * math.sqrt(-math.log(0.8)) / (1 + math.exp(-offset))
        entropies.append(stats.norm(0, alpha).entropy())
        found.append(float(layer.batch_penalty(torch.ones(1, 1), 1.0).detach()))
    sums = [entropy + information for entropy, information in zip(entropies, found, strict=True)]
    assert sums == pytest.approx([float(sums[0])] * 3)


def test_the_warm_up_and_runs_at_p_0() -> None:
    layer = InformationDropout(torch.tensor([0.0, 0.4]), kl_weight=1.0, kl_warmup=(0.0, 0.5))
    layer.setup(torch.ones(2, 4, 3), "relu")
    x = torch.ones(2, 5, 4)
    assert layer.batch_penalty(x, 0.25).detach().tolist() == pytest.approx([0, 2 * math.log(2)])
    assert not layer.batch_penalty(x, 0.0).any()
    assert torch.equal(layer(x)[0], x[0])


def test_more_noise_where_the_information_costs_more() -> None:
    """Gradient descent on the information alone raises p; the limit is 1 - (1 - p)^4."""
    layer = set_up(0.2, [0.0], [0.0], kl_weight=1.0)
    optimizer = torch.optim.SGD([layer.offset], lr=50.0)
    for _ in range(50):
        optimizer.zero_grad()
        layer.batch_penalty(torch.ones(4, 1), 1.0).backward()
        optimizer.step()
    assert float(layer.p) == pytest.approx(1 - 0.8**4, abs=1e-3)
