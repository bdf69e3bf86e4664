"""From a file and the command line to a checked config; every mistake at once, with its place."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dropout_lab.analysis.statistics import min_seeds
from dropout_lab.config.document import parse_document
from dropout_lab.config.grid import runs_of, seeds_of, sweep_cells
from dropout_lab.config.load import check, list_sizes, load
from dropout_lab.config.overrides import Changes
from dropout_lab.config.schema import KEYS, Config
from dropout_lab.datasets import DATASETS, OWN
from dropout_lab.errors import ConfigError, DataError
from dropout_lab.layers import VARIANTS


def run_ids(config: Config) -> list[str]:
    return [run.run_id for run in runs_of(sweep_cells(config), seeds_of(config))]


def mistakes_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        check(parse_document(text, "c.yaml"))
    return list(caught.value.mistakes)


def changed(*settings: str, sweep: bool = False, **changes: str | int) -> Config:
    return load(None, Changes(settings=settings, sweep=sweep, **changes))


def test_the_schemas_names_are_those_of_the_tables() -> None:
    sections = Config.model_json_schema()["$defs"]
    assert sections["DropoutSettings"]["properties"]["variant"]["enum"] == list(VARIANTS)
    assert sections["DatasetSettings"]["properties"]["name"]["enum"] == [*DATASETS, OWN]


def test_the_quickstart_and_the_defaults_are_two_studies() -> None:
    """So that neither is refused the folder of the other."""
    defaults, quickstart = load(None), load(Path("configs/quickstart.yaml"))
    assert (defaults.name, quickstart.name) == ("defaults", "quickstart")
    assert not set(run_ids(defaults)) & set(run_ids(quickstart))


def test_the_quickstart_has_enough_seeds_for_a_verdict() -> None:
    config = load(Path("configs/quickstart.yaml"))
    comparisons = len(sweep_cells(config)) - 1
    assert len(seeds_of(config)) >= min_seeds(comparisons)


@pytest.mark.parametrize("path", sorted(Path("configs").glob("**/*.yaml")), ids=str)
def test_every_config_of_the_project_is_right(path: Path) -> None:
    if path.stem == "chollet_imdb":  # tests/config/test_teaching.py writes its data
        with pytest.raises(DataError, match=r"configs/teaching/imdb\.npz cannot be read: No such"):
            load(path)
        return
    config = load(path)
    (size, *_) = list_sizes(path)
    assert config.name == (path.stem if size is None else f"{path.stem}_{size}")
    assert sweep_cells(config)
    assert path.read_text().startswith("# "), "line 1 says what it shows and how long it takes"


def test_every_mistake_is_told_at_once_in_the_order_of_the_file() -> None:
    text = """\
name: a/b
droput: {p: 1}
dataset: {name: mist}
dropout:
  variant: gausian
  p: 1.5
  placment: hidden
training: {epochs: true}
model: {hidden: [8], init: normal}
sweep: {grid: {dropout.p: [0, 2], trainig.epochs: [1]}}
"""
    mistakes = mistakes_of(text)
    expected = [
        ('c.yaml:1: name is "a/b"', "letters, digits"),
        ("c.yaml:2: droput is not a setting", "did you mean 'dropout'?"),
        ('c.yaml:3: dataset.name is "mist"', "did you mean 'mnist'?"),
        ('c.yaml:5: dropout.variant is "gausian"', "did you mean 'gaussian'?"),
        ("c.yaml:6: dropout.p is 1.5", "a number from 0 to 1"),
        ("c.yaml:7: dropout.placment is not a setting", "did you mean 'placement'?"),
        ("c.yaml:8: training.epochs is true", "a positive whole number"),
        ("c.yaml:9: model.init is normal", "needs model.init_std"),
        ("c.yaml:10: dropout.p is 2", "a number from 0 to 1"),
        ("c.yaml:10: trainig.epochs is not a setting", "did you mean training.epochs?"),
    ]
    assert len(mistakes) == len(expected)
    for mistake, (start, remedy) in zip(mistakes, expected, strict=True):
        assert mistake.startswith(start)
        assert remedy in mistake


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dropout: {keep_prob: 0.8}", "for keep_prob: 0.8 write p: 0.2"),
        ("dropout: {rate: 0.8}", "write dropout: {p: 0.8}; p is the probability of dropping"),
        ("training: {lr: 0.8}", "write training: {learning_rate: 0.8}"),
        ("p: 0.5", "p is not a setting; write dropout: {p: 0.5}."),
        ("dropout: {p: .nan}", "dropout.p is NaN"),
        ("dropout: {p: .inf}", "dropout.p is Infinity"),
        ("dropout: {p: true}", "dropout.p is true"),
        ("dropout: {p: '0.5'}", 'dropout.p is "0.5"'),
        ("dropout: {p: null}", "dropout.p is null"),
        ("dropout: {p: -0.1}", "dropout.p is -0.1"),
        ("dropout: {p: [0.5]}", "lists 1 values for 2 places (1, 2)"),
        ("dropout: {placement: [0, 3]}", "names layer 3; with 2 hidden layers"),
        ("dropout: {placement: [1, 1]}", "name each place once"),
        ("dropout: {placement: []}", "dropout.placement is []"),
        ("dropout: {placement: all, p: [0.1, 0.2, 0.3], input_p: 0.2}", "give it once"),
        ("dropout: {variant: gaussian, p: 1}", "infinite"),
        (
            "dropout: {variant: dropconnect, position: before}",
            "acts between the activation and the weights",
        ),
        ("dropout: {variant: bernoulli}", "did you mean 'inverted' or 'learned_bernoulli'?"),
        ("training: {epochs: 0}", "training.epochs is 0"),
        ("training: {epochs: 3, updates: 5}", "one of them; both are given"),
        ("training: {epochs: null}", "one of them; neither is given"),
        ("training: {learning_rate: 0}", "a number above 0"),
        ("training: {momentum: 1}", "a number of at least 0 and below 1"),
        ("training: {nesterov: true, momentum: 0}", "needs optimizer: sgd and a momentum"),
        ("training: {batch_size: 5000}", "more than the 3000 training examples"),
        ("model: {hidden: []}", "model.hidden is []"),
        ("model: {hidden: 512}", "model.hidden is 512"),
        ("model: {init_std: 0.1}", "write init: normal, or leave init_std out"),
        ("dataset: {train_size: 4000}", "3000 examples of mnist_5k are left"),
        ("dataset: {validation_size: 4000}", "at most 3990 can be held out"),
        ("dataset: {validation_size: 5}", "give 0, or at least 10"),
        ("regularization: {max_norm: 0}", "a number above 0"),
        ("seeds: 0", "seeds is 0"),
        ("seeds: 1000000000", "seeds is 1000000000"),
        ("seeds: [1, 1]", "name each seed once"),
        ("seeds: [-1]", "seeds is [-1]"),
        ("seeds: 1.5", "seeds is 1.5"),
        ("name: CON", "some systems reserve"),
        ("name: ..", "name is"),
        ("name: -x", "name is"),
        ("dropout: 0.5", "dropout is 0.5; write dropout: {p: 0.5}."),
        ("sweep: {grid: [1]}", "sweep.grid is [1]"),
        ("sweep: {grid: {dropout.p: []}}", "the axis dropout.p is []"),
        ("sweep: {grid: {dropout.p: 0.5}}", "the axis dropout.p is 0.5"),
        ("sweep: {grid: {dropout.p: [0.5, 0.50]}}", "names 0.5 twice"),
        ("sweep: {grid: {dropout.p: 0:1}}", "write start:stop:step"),
        ("sweep: {grid: {dropout.p: 0:1:0}}", "never ends"),
        ("sweep: {grid: {dropout.p: '0:1:0.0001'}}", "more than 1000 values"),
        ("sweep: {grid: {seeds: [1, 2]}}", "seeds is no axis"),
        (
            "sweep: {grid: {training.batch_size: '1:400:1', dataset.split_seed: '1:400:1'}}",
            "runs; at most",
        ),
        (
            "sweep: {grid: {dropout.variant: [gaussian], dropout.p: [0.5, 1]}}",
            'in the sweep, with dropout.variant="gaussian", dropout.p=1.0: dropout.p is 1',
        ),
    ],
)
def test_a_mistake_says_what_is_allowed(text: str, words: str) -> None:
    mistakes = mistakes_of(text)
    assert len(mistakes) == 1
    assert words in mistakes[0]
    assert mistakes[0].startswith("c.yaml:1: ")


def test_an_empty_section_is_one_of_defaults() -> None:
    assert check(parse_document("regularization:\n", "c.yaml")) == load(None)


def test_integers_pass_where_a_number_is_meant() -> None:
    config = check(parse_document("dropout: {p: 0}\nregularization: {max_norm: 2}", "c.yaml"))
    assert (config.dropout.p, config.regularization.max_norm) == (0.0, 2.0)
    assert isinstance(config.dropout.p, float)


def test_minus_zero_is_zero() -> None:
    config = check(parse_document("dropout: {input_p: -0.0}", "c.yaml"))
    assert str(config.dropout.input_p) == "0.0"


def test_updates_take_the_place_of_the_default_epochs(tmp_path: Path) -> None:
    assert changed("training.updates=7").training.epochs is None
    path = tmp_path / "c.yaml"
    path.write_text("training: {updates: 7}\n")
    assert load(path, Changes(epochs=3)).training.updates is None


def test_without_a_name_the_file_gives_it(tmp_path: Path) -> None:
    path = tmp_path / "my study.yaml"
    path.write_text("seeds: 1\n")
    assert load(path).name == "my_study"


def test_set_changes_a_key_and_fixes_what_the_file_sweeps() -> None:
    config = changed("dropout.p=0.3", "model.hidden=[8, 8]", sweep=True)
    assert config.dropout.p == 0.3
    assert config.model.hidden == (8, 8)
    assert "dropout.p" not in config.sweep.grid


def test_a_comma_list_makes_an_axis_in_a_sweep() -> None:
    config = changed("dropout.variant=inverted,gaussian", "model.hidden=[8],[8,8]", sweep=True)
    assert config.sweep.grid["dropout.variant"] == ["inverted", "gaussian"]
    assert config.sweep.grid["model.hidden"] == [(8,), (8, 8)]


def test_p_as_a_list_and_as_a_range() -> None:
    assert changed(p="0,0.25,0.5", sweep=True).sweep.grid == {"dropout.p": [0.0, 0.25, 0.5]}
    exact = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert changed(p="0:0.9:0.1", sweep=True).sweep.grid == {"dropout.p": exact}
    assert changed(p="0.9:0.8:-0.05", sweep=True).sweep.grid == {"dropout.p": [0.9, 0.85, 0.8]}


def test_an_option_of_one_axis_leaves_the_others(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        "sweep: {grid: {training.epochs: [5, 6], training.learning_rate: [0.1, 0.2]}}\n"
    )
    config = load(path, Changes(epochs=2, p="0,0.5", sweep=True))
    assert config.sweep.grid == {"training.learning_rate": [0.1, 0.2], "dropout.p": [0.0, 0.5]}
    assert config.training.epochs == 2


@pytest.mark.parametrize(
    ("text", "changes", "words"),
    [
        ("training: foo\n", Changes(epochs=2), 'training is "foo"; write its keys'),
        ("sweep: {grid: [1]}\n", Changes(("dropout.p=0,1",), sweep=True), "sweep.grid is [1]"),
    ],
)
def test_an_option_hides_no_mistake(
    tmp_path: Path, text: str, changes: Changes, words: str
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path, changes)
    assert words in str(caught.value)


def test_seeds_as_a_count_and_as_a_list() -> None:
    assert changed(seeds="5").seeds == 5
    assert changed(seeds="5,").seeds == (5,)
    assert changed(seeds="3,1,4").seeds == (3, 1, 4)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("dropout.p", "write --set key=value"),
        ("dropout.p=", "dropout.p has no value"),
        ("dropout.q=1", "dropout-lab config show --comments"),
        ("q=1", "is not a setting"),
        ("dropout.p=2", "--set dropout.p=2: dropout.p is 2"),
        (
            "dropout.p=0,1",
            "To train with each of them: dropout-lab sweep --set dropout.p=0,1",
        ),
        ("dropout.p=[0", "not YAML"),
        ("dropout.p=!!int 3", "tags"),
        ("sweep.grid={}", "is not a setting"),
    ],
)
def test_set_has_the_same_messages_as_the_file(setting: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        changed(setting)
    assert words in str(caught.value)


def test_the_ranges_of_the_messages_are_those_of_the_schema() -> None:
    """Each number key refuses the values just outside the range its message states."""
    from dropout_lab.config.allowed_values import describe_allowed

    for key in KEYS:
        if describe_allowed(key).startswith("a number from 0 to 1"):
            with pytest.raises(ConfigError):
                changed(f"{key}=1.0000001")
            with pytest.raises(ConfigError):
                changed(f"{key}=-1e-9")


_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
_values = st.recursive(_scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=5)


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(lambda t: t.encode("utf-16"))))
def test_any_bytes_in_a_file_give_a_config_or_a_config_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    with suppress(ConfigError):
        assert isinstance(load(path, Changes(sweep=True)), Config)


# What the command line can hand over: any text without NUL; bytes that are no UTF-8 are surrogates.
_marks = st.sampled_from(
    [*"[]{}&*!,:#'\"\\-+.e019\n\t \udcff", "0.5", "1e999", "..", "---", "null"]
)
_arguments = st.lists(_marks, max_size=15).map("".join) | st.text(max_size=20)
_keys = st.sampled_from([*KEYS, "name", "seeds", "about"]) | _arguments
_settings = st.tuples(_keys, _arguments).map("=".join) | _arguments


@settings(max_examples=400, deadline=None)
@given(
    given=st.lists(_settings, max_size=3),
    p=st.none() | _arguments,
    seeds=st.none() | _arguments,
    epochs=st.none() | st.integers(),
    sweep=st.booleans(),
)
def test_any_options_give_a_config_or_a_config_error(
    given: list[str], p: str | None, seeds: str | None, epochs: int | None, sweep: bool
) -> None:
    changes = Changes(settings=tuple(given), p=p, seeds=seeds, epochs=epochs, sweep=sweep)
    with suppress(ConfigError):
        assert isinstance(load(None, changes), Config)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*KEYS, "name", "seeds", "about", "sweep", "x.y"]), _values, max_size=4
    )
)
def test_any_values_give_a_config_or_a_config_error(values: dict[str, object]) -> None:
    document = parse_document("name: a", "c.yaml")
    for key, value in values.items():
        document.set(tuple(key.split(".")), value, "c.yaml:1")
    with suppress(ConfigError):
        config = check(document)
        assert Config.model_validate(config.model_dump()) == config
