"""What is refused of inference, diagnostics and early stopping, and the one form the rest has."""

import pytest

from dropout_lab.config.grid import run_id, single_cell, sweep_cells
from dropout_lab.config.load import load
from dropout_lab.config.overrides import Changes
from dropout_lab.config.rules import find_cautions
from dropout_lab.config.schema import Config, Settings
from dropout_lab.errors import ConfigError


def loaded(*settings: str, sweep: bool = False) -> Config:
    return load(None, Changes(settings=settings, sweep=sweep))


def single(*settings: str) -> Settings:
    return single_cell(loaded(*settings))[0].settings


def refusal(*settings: str, sweep: bool = False) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(*settings, sweep=sweep)
    return "\n".join(caught.value.mistakes)


MONTE_CARLO = "evaluation.inference=monte_carlo"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            [MONTE_CARLO, "evaluation.samples=0"],
            "evaluation.samples is 0; allowed: a positive whole number or null.",
        ),
        (
            [MONTE_CARLO, "evaluation.samples=2.5"],
            "evaluation.samples is 2.5; allowed: a positive whole",
        ),
        (["evaluation.inference=monte-carlo"], "did you mean 'monte_carlo'?"),
        (["evaluation.inference=[mean,mc]"], "evaluation.inference is ["),
        (["evaluation.inference=[]"], "evaluation.inference is []; allowed:"),
        (["evaluation.inference=[mean,mean]"], "name each once"),
        (["evaluation.diagnostics=[noise,noise]"], "name each once"),
        (["evaluation.at_end=[features,features]"], "name each once"),
        (["evaluation.at_end=feature"], "did you mean 'features'?"),
        (
            ["evaluation.at_end=[heat]"],
            "features, histograms, reliability, predictions, boundary or a list of them.",
        ),
        (
            ["evaluation.diagnostics=[heat]"],
            "flatness, activation_variance or a list of them.",
        ),
        ([MONTE_CARLO, "dropout.variant=none"], "no network here has noise to sample"),
        ([MONTE_CARLO, "dropout.p=0"], "no network here has noise to sample"),
        ([MONTE_CARLO, "dropout.variant=fast"], "no network here has noise to sample"),
        (
            ["evaluation.inference=moment_matching"],
            "names moment_matching; it is for dropconnect, gaussian_dropconnect, with a p above 0",
        ),
        (
            ["evaluation.inference=moment_matching", "dropout.variant=dropconnect", "dropout.p=0"],
            "names moment_matching; it is for dropconnect, gaussian_dropconnect, with a p above 0",
        ),
        (["evaluation.samples=10"], "evaluation.samples is given, and nothing here reads it"),
        (
            ["evaluation.inference=geometric", "evaluation.curve=10"],
            "evaluation.curve is given, and nothing here reads it; it is for inference monte_carlo",
        ),
        (
            [MONTE_CARLO, "evaluation.curve=51"],
            "evaluation.curve is 51, and evaluation.samples 50: averages are made of what was",
        ),
        (["evaluation.diagnostics=[noise]", "dropout.p=0"], "names noise, and no network here has"),
        (["training.patience=0"], "training.patience is 0; allowed: a positive whole number"),
        (
            ["training.patience=3", "dataset.validation_size=0"],
            "training.patience is 3, but dataset.validation_size is 0",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(settings: list[str], words: str) -> None:
    assert words in refusal(*settings)


@pytest.mark.parametrize("key", ["inference", "samples", "curve", "diagnostics", "at_end"])
def test_ways_to_measure_are_no_axis(key: str) -> None:
    values = {
        "inference": "mean,monte_carlo",
        "diagnostics": "[noise],[gradients]",
        "at_end": "[features],[histograms]",
    }
    told = refusal(f"evaluation.{key}={values.get(key, '5,10')}", sweep=True)
    assert f"evaluation.{key} is no axis: every run is measured in all the ways asked for" in told


def test_the_network_without_noise_is_one_run_whatever_is_asked_of_the_others() -> None:
    asked = ("evaluation.inference=[monte_carlo,geometric]", "evaluation.samples=9")
    bare = single("dropout.p=0")
    cells = sweep_cells(
        loaded(*asked, "evaluation.diagnostics=[noise]", "dropout.p=0,0.5", sweep=True)
    )
    assert [cell.values["dropout.p"] for cell in cells] == [0.0, 0.5]
    assert run_id(cells[0].settings, 3) == run_id(bare, 3)
    assert cells[1].settings.evaluation.inference == ("mean", "monte_carlo", "geometric")
    assert cells[1].settings.evaluation.samples == 9
    assert cells[1].settings.evaluation.diagnostics == ("noise",)


def test_what_is_kept_at_the_end_is_kept_of_every_cell_and_has_one_form() -> None:
    word = single("evaluation.at_end=features")
    assert word == single("evaluation.at_end=[features]") != single()
    assert single("evaluation.at_end=[predictions,features]") == single(
        "evaluation.at_end=[features,predictions]"
    )
    cells = sweep_cells(loaded("evaluation.at_end=features", "dropout.p=0,0.5", sweep=True))
    assert [cell.settings.evaluation.at_end for cell in cells] == [("features",)] * 2
    plain = single("evaluation.at_end=[]")
    assert run_id(plain, 0) == run_id(single(), 0) != run_id(word, 0)


def test_a_variant_without_noise_may_stand_beside_one_that_is_sampled() -> None:
    cells = sweep_cells(loaded(MONTE_CARLO, "dropout.variant=inverted,fast,none", sweep=True))
    sampled = {cell.settings.dropout.variant: cell.settings.evaluation.inference for cell in cells}
    assert sampled == {
        "none": "mean", "inverted": ("mean", "monte_carlo"), "fast": "mean"
    }  # fmt: skip


def test_one_meaning_has_one_form() -> None:
    plain = single()
    assert single("evaluation.inference=mean") == single("evaluation.inference=[mean]") == plain
    one = single("evaluation.inference=[geometric,monte_carlo]", "evaluation.samples=50")
    assert one == single("evaluation.inference=[monte_carlo,mean,geometric]")
    assert one != plain
    assert single("evaluation.diagnostics=[noise,activations]") == single(
        "evaluation.diagnostics=[activations,noise]"
    )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ([MONTE_CARLO, "evaluation.samples=1"], "evaluation.samples is 1 with inference monte_"),
        (
            ["evaluation.inference=geometric", "dropout.schedule=annealed"],
            "has p at 0, or next to it, in the end",
        ),
        (
            [MONTE_CARLO, "dropout.stop_last=2"],
            "has p at 0, or next to it, in the end",
        ),
        (
            [MONTE_CARLO, "dropout.schedule=early", "dropout.cutoff=5"],
            "has p at 0, or next to it, in the end",
        ),
    ],
)
def test_what_is_hardly_meant_is_told(settings: list[str], words: str) -> None:
    assert any(words in text for text in find_cautions([single(*settings)]))
    assert not find_cautions([single(MONTE_CARLO)])


def test_what_only_sampling_reads_is_kept_where_there_is_something_to_sample() -> None:
    asked = ("evaluation.samples=9", "evaluation.curve=9")  # as many as there are samples
    config = loaded(MONTE_CARLO, *asked, "dropout.p=0,0.5", sweep=True)
    kept = [cell.settings.evaluation for cell in sweep_cells(config)]
    assert [(each.samples, each.curve) for each in kept] == [(None, None), (9, 9)]
    for name, variant in (("geometric", "inverted"), ("moment_matching", "dropconnect")):
        settings = single(
            f"evaluation.inference={name}", f"dropout.variant={variant}", "dropout.mask=batch",
            "evaluation.samples=9",
        )  # fmt: skip
        assert settings.evaluation.samples == 9
