"""Lesson ``conventions``: numbers worked by hand, and layers that break its checks."""

import pytest
import torch
from torch import Tensor, nn

from dropout_lab.config import foreign_keys
from dropout_lab.layers import InvertedDropout, StandardDropout
from dropout_lab.lessons.conventions.experiment import (
    DividedByP,
    MeasuredUnit,
    TimesP,
    measure_conventions,
    measure_mixed_unit,
)
from dropout_lab.lessons.draws import ReplayedMasks
from dropout_lab.lessons.parts import Formula, Table
from dropout_lab.lessons.reference_layers import NumpyDropout
from tests.lessons.conftest import Told, failed_in


def test_the_mistakes_by_hand() -> None:
    """At p = 0.25 what is kept becomes 4 in place of 4/3; evaluation 0.25 in place of 0.75."""
    kept = ReplayedMasks([torch.tensor([True, False])] * 2)
    assert DividedByP(0.25, noise=kept)(torch.ones(2)).tolist() == [4, 0]
    assert TimesP(0.25, noise=kept)(torch.ones(2)).tolist() == [1, 0]
    assert TimesP(0.25).eval()(torch.ones(2)).tolist() == [0.25, 0.25]
    assert StandardDropout(0.25).eval()(torch.ones(2)).tolist() == [0.75, 0.75]


def test_a_unit_by_hand() -> None:
    """Dropped with 0.2, else 1.25: mean 1, variance 0.2 * 1 + 0.8 * 0.0625 = 0.25.

    Its mean has the standard error 1.25 * 0.4 / 10 = 0.05 over 100 draws; the squares 1 and 0.0625
    are 0.9375 apart, so the variance has 0.9375 * 0.4 / 10 = 0.0375.
    """
    one = MeasuredUnit(
        drop_probability=0.2, kept_value=1.25, draws=100, mean=1.1, variance=0.25, eval_value=1.0
    )
    assert one.expected_mean == pytest.approx(1)
    assert one.expected_variance == pytest.approx(0.25)
    assert one.largest_z_score == pytest.approx(0.1 / 0.05, rel=1e-4)
    other = MeasuredUnit(
        drop_probability=0.2, kept_value=1.25, draws=100, mean=1.0, variance=0.4, eval_value=1.0
    )
    assert other.largest_z_score == pytest.approx(0.15 / 0.0375, rel=1e-4)


def test_at_a_half_a_wrong_variance_is_found_though_it_has_no_error() -> None:
    right = measure_mixed_unit(InvertedDropout(0.5), 2.0, 1000)
    assert right.variance == 1
    assert right.largest_z_score < 5
    wrong = MeasuredUnit(
        drop_probability=0.5, kept_value=2.0, draws=1000, mean=1.0, variance=1.001, eval_value=1.0
    )
    assert wrong.largest_z_score > 5


def test_mixed_up_at_one_in_five() -> None:
    """(1 - p) / p = 4: means 1, 4, 1; variances 0.25 and 4; evaluation 0.8 and 0.2."""
    table = {name: units[0] for name, units in measure_conventions([0.2], 200_000, 0).items()}
    means = {"right": 1, "over p": 4, "keeps": 1, "standard": 0.8, "times p": 0.8}
    for name, mean in means.items():
        assert table[name].mean == pytest.approx(mean, rel=0.03)
    assert table["right"].variance == pytest.approx(0.25, rel=0.03)
    assert table["keeps"].variance == pytest.approx(4, rel=0.03)
    assert table["standard"].eval_value == pytest.approx(0.8, abs=1e-5)
    assert table["times p"].eval_value == pytest.approx(0.2, abs=1e-5)


def test_each_p_and_layer_has_draws_of_its_own() -> None:
    """Rows of one stream would be high together, or low: two rows of one p would be equal."""
    same = measure_conventions([0.5, 0.5], 1000, 0)["right"]
    assert same[0].mean != same[1].mean


@pytest.mark.parametrize(
    ("p", "drops", "keeps"),
    [
        (0.2, ["yes", "no", "no", "no", "yes"], ["no", "yes", "yes", "yes", "no"]),
        (0.5, ["yes"] * 5, ["yes"] * 5),
    ],
)
def test_no_sense_of_p_makes_all_sentences_true(
    told: Told, p: float, drops: list[str], keeps: list[str]
) -> None:
    rows = [part for part in told("conventions", p) if isinstance(part, Table)][-1].rows
    assert [row[1] for row in rows] == drops
    assert [row[2] for row in rows] == keeps


def test_the_tables_say_what_to_write(told: Told) -> None:
    tables = [part for part in told("conventions", 0.3) if isinstance(part, Table)]
    for table in tables[:2]:
        for *_, chance, number in table.rows:
            assert number == {"dropping": "0.3", "keeping": "0.7"}[str(chance)]


def test_the_answers_are_the_programs_own(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [part.text for part in told("conventions") if isinstance(part, Formula)][-3:]
    assert "for keep_prob: 0.8 write p: 0.2" in " ".join(answers[0].split())
    assert "p is the probability of dropping" in " ".join(answers[1].split())
    assert "dropout.p is 80" in answers[2]
    monkeypatch.setattr(foreign_keys, "KEEP_NAMES", foreign_keys.KEEP_NAMES - {"keep_prob"})
    assert failed_in(told("conventions")) == ["keep_prob is refused"]


def test_a_layer_whose_p_keeps_is_found(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    right = InvertedDropout.drop

    def drop(self: InvertedDropout, x: Tensor) -> Tensor:
        if type(self) is not InvertedDropout:
            return right(self, x)
        other = DividedByP(1 - self.p, noise=self.noise)
        return right(other, x) * (1 - self.p) / self.p  # consistent: the mean stays

    monkeypatch.setattr(InvertedDropout, "drop", drop)
    assert failed_in(told("conventions", 0.2)) == [
        "p drops here",
        "right: 1 and p / (1 - p)",
        "keeps: 1 and (1 - p) / p",
    ]


def test_a_library_that_turned_its_p_round_is_found(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = nn.Dropout.__init__
    monkeypatch.setattr(nn.Dropout, "__init__", lambda self, p: right(self, 1 - p))
    assert failed_in(told("conventions", 0.2)) == ["nn.Dropout: p drops"]


def test_a_numpy_layer_that_drops_is_found(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    right = NumpyDropout.__init__

    def begin(self: NumpyDropout, keep: float, generator: object) -> None:
        right(self, 1 - keep, generator)

    monkeypatch.setattr(NumpyDropout, "__init__", begin)
    assert failed_in(told("conventions", 0.2)) == ["NumPy's prob keeps"]


@pytest.mark.parametrize(
    ("kind", "method", "check"),
    [
        (DividedByP, "kept_scale", "over p: (1 - p) / p"),
        (TimesP, "eval_scale", "times p: p / (1 - p)"),
        (StandardDropout, "eval_scale", "standard: times 1 - p"),
    ],
)
def test_another_factor_is_found(
    told: Told, monkeypatch: pytest.MonkeyPatch, kind: type, method: str, check: str
) -> None:
    right = getattr(kind, method)
    monkeypatch.setattr(kind, method, lambda self, p: right(self, p) * 1.1)
    assert failed_in(told("conventions")) == [check]
