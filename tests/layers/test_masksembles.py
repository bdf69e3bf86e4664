"""Masksembles by hand, the fixed masks, and how often each is drawn."""

import pytest
import torch

from dropout_lab.layers import Masksembles
from dropout_lab.layers.masksembles import unit_ranks
from tests.layers.cases import CPU
from tests.recorded import Forbidden, Recorded, lanes


def kept_units(layer: Masksembles, units: int) -> torch.Tensor:
    """Return which units each mask keeps, ``(masks, units)``."""
    count = round((1 - float(layer.p)) * units)
    return layer.ranks(torch.ones(units)) < count


def test_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two masks of two of four units: units 0 and 1, or units 1 and 3.

    The draws 0.49, 0.51 and 0.99 take the first, the second and the second mask. Evaluation
    multiplies by the shares 1/2, 1, 0 and 1/2.
    """
    ranks = torch.tensor([[0, 1, 2, 3], [2, 1, 3, 0]])
    monkeypatch.setattr("dropout_lab.layers.masksembles.unit_ranks", lambda *_: ranks)
    layer = Masksembles(0.5, masks=2, noise=Recorded(lanes(0.49, 0.51, 0.99)))
    x = torch.tensor([[1.0, 2.0, 3.0, 4.0]]).expand(3, 4)
    assert layer(x).tolist() == [[1, 2, 0, 0], [0, 2, 0, 4], [0, 2, 0, 4]]
    assert layer.eval()(x[0]).tolist() == [0.5, 2, 0, 2]


@pytest.mark.parametrize(("masks", "units"), [(1, 5), (4, 5), (4, 512), (7, 100), (300, 40)])
@pytest.mark.parametrize("p", [0.0, 0.2, 0.5, 0.75])
def test_each_mask_keeps_k_units_and_each_unit_has_a_mask(masks: int, units: int, p: float) -> None:
    layer = Masksembles(p, masks=masks)
    layer.setup(torch.ones(units, 3), "relu")
    kept = kept_units(layer, units)
    assert kept.shape == (masks, units)
    assert (kept.sum(dim=1) == round((1 - p) * units)).all()
    if round((1 - p) * units) >= -(-units // masks):
        assert kept.any(dim=0).all()


def test_at_the_largest_p_that_keeps_every_unit_the_masks_are_separate() -> None:
    kept = kept_units(Masksembles(0.75), 512)
    assert (kept.sum(dim=0) == 1).all()


def test_the_overlap_is_near_that_of_the_papers_scale() -> None:
    """Of 40,000 units and four masks at p = 1/2: within five standard errors of 2/9.

    A mask keeps r = (1/2 - 1/4) / (3/4) = 1/3 of the units that belong to another mask. So two
    masks share 2 r / 4 + 2 r^2 / 4 = 2/9 of the units. The paper's scale S solves
    S (1 - (1 - 1/S)^4) = 2, and its masks share (1 - p) / S = 0.228 of the units.
    """
    kept = kept_units(Masksembles(0.5), 40_000).double()
    shared = (kept @ kept.T) / 40_000
    error = (0.2222 * 0.7778 / 40_000) ** 0.5
    for one in range(4):
        for other in range(one):
            assert abs(float(shared[one, other]) - 2 / 9) < 5 * error
    low, high = 1.0, 100.0
    for _ in range(60):
        scale = (low + high) / 2
        low, high = (scale, high) if scale * (1 - (1 - 1 / scale) ** 4) < 2 else (low, scale)
    assert 0.5 / scale == pytest.approx(0.228, abs=1e-3)


def test_the_masks_are_the_same_in_every_layer_and_step() -> None:
    """As many outputs as masks, whatever the noise, and the same as in another layer."""
    x = torch.rand(200, 40) + 1
    found = [Masksembles(0.5, masks=4)(x) > 0 for _ in range(3)]
    for kept in found:
        assert torch.equal(kept.unique(dim=0), found[0].unique(dim=0))
        assert len(kept.unique(dim=0)) == 4
    assert torch.equal(unit_ranks(4, 40, CPU), unit_ranks(4, 40, CPU))


def test_every_mask_is_as_likely() -> None:
    """20,000 examples, five masks: each within five standard errors of 1/5."""
    n, layer = 20_000, Masksembles(0.5, masks=5)
    kept = layer(torch.ones(n, 30)) > 0
    for mask in kept_units(layer, 30):
        share = float((kept == mask).all(dim=1).double().mean())
        assert abs(share - 0.2) < 5 * (0.2 * 0.8 / n) ** 0.5


def test_one_mask_is_no_noise() -> None:
    layer, x = Masksembles(0.5, masks=1), torch.rand(6, 10)
    y = layer(x)
    layer.noise = Forbidden()
    assert torch.equal(layer.eval()(x), y)


def test_p_is_rounded_once_the_units_are_known() -> None:
    layer = Masksembles(0.3)
    layer.setup(torch.ones(4, 2), "relu")
    assert float(layer.p) == 0.25


@pytest.mark.parametrize("masks", [0, -1, 65_537])
def test_an_impossible_number_of_masks_is_refused(masks: int) -> None:
    with pytest.raises(ValueError, match="from 1 to 65536"):
        Masksembles(0.5, masks=masks)
