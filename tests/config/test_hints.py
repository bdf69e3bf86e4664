"""What is wrong in a config is answered with what to write, which is then accepted."""

import shlex

import pytest

from dropout_lab.config.document import Document, parse_document
from dropout_lab.config.load import check, load
from dropout_lab.config.overrides import Changes
from dropout_lab.config.schema import KEYS
from dropout_lab.config.synonyms import OTHER_KEYS, OTHER_VALUES, find_nearest_word
from dropout_lab.errors import ConfigError


def mistakes_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        check(parse_document(text, "c.yaml"))
    return [mistake.removeprefix("c.yaml:1: ") for mistake in caught.value.mistakes]


WRITE = [
    ("dropout: 0.5", "dropout: {p: 0.5}"),
    ("dropout: none", "dropout: {variant: none}"),
    ("dropout: Gaussian", "dropout: {variant: gaussian}"),
    ("dropout: bernoulli", "dropout: {variant: inverted}"),
    ("dropout: [0.2, 0.5]", "dropout: {p: [0.2, 0.5]}"),
    ("dataset: mnist", "dataset: {name: mnist}"),
    ("dataset: MNIST", "dataset: {name: mnist}"),
    ("model: [512, 512]", "model: {hidden: [512, 512]}"),
    ("model: 512", "model: {hidden: [512]}"),
    ("model: tanh", "model: {activation: tanh}"),
    ("training: 20", "training: {epochs: 20}"),
    ("training: adam", "training: {optimizer: adam}"),
    ("regularization: 0.01", "regularization: {l2: 0.01}"),
    ("dropout: true", "dropout: {p: 0.5}"),
    ("sweep: [0, 0.5]", "sweep: {grid: {dropout.p: [0, 0.5]}}"),
    ("sweep: [{dropout.p: 0.5}]", "sweep: {cells: [{dropout.p: 0.5}]}"),
    ("sweep: {dropout.p: [0, 0.5]}", "sweep: {grid: {dropout.p: [0, 0.5]}}"),
    ("sweep: {p: [0, 0.5]}", "sweep: {grid: {dropout.p: [0, 0.5]}}"),
    ("sweep: {dropout: {p: [0, 0.5]}}", "sweep: {grid: {dropout.p: [0, 0.5]}}"),
    ("dropout: {p: [0, 0.25, 0.5]}", "sweep: {grid: {dropout.p: [0.0, 0.25, 0.5]}}"),
    ("model: {hidden: [[16], [32]]}", "sweep: {grid: {model.hidden: [[16], [32]]}}"),
    ("training: {momentum: [0.1, 0.2]}", "sweep: {grid: {training.momentum: [0.1, 0.2]}}"),
    ("dropout.p: 0.5", "dropout: {p: 0.5}"),
    ("epochs: 5", "training: {epochs: 5}"),
    ("lr: 0.5", "training: {learning_rate: 0.5}"),
    ("training: {num_epochs: 3}", "training: {epochs: 3}"),
    ("model: {layers: [3]}", "model: {hidden: [3]}"),
    ("seed: 7", "seeds: [7]"),
    ("random_state: 7", "seeds: [7]"),
    ("n_runs: 4", "seeds: 4"),
    ("experiment: mine", "name: mine"),
    ("description: mine", "about: mine"),
    ("layers: [100]", "model: {hidden: [100]}"),
    ("hidden_size: 100", "model: {hidden: [100]}"),
    ("n_layers: 2", "model: {hidden: [512, 512]}"),
    ("batch: 32", "training: {batch_size: 32}"),
    ("training: {batch: 32}", "training: {batch_size: 32}"),
    ("dropout_rate: 0.3", "dropout: {p: 0.3}"),
    ("dropout: {rate: 0.3}", "dropout: {p: 0.3}"),
    ("model: {dropout: 0.3}", "dropout: {p: 0.3}"),
    ("dropout: {layers: [1]}", "dropout: {placement: [1]}"),
    ("dropout: {type: gaussian}", "dropout: {variant: gaussian}"),
    ("wd: 0.1", "regularization: {l2: 0.1}"),
    ("weight_decay: 0.1", "regularization: {l2: 0.1}"),
    ("training: {weight_decay: 0.1}", "regularization: {l2: 0.1}"),
    ("momentum: 0.5", "training: {momentum: 0.5}"),
    ("optimizer: Adam", "training: {optimizer: adam}"),
    ("activation: ReLU", "model: {activation: relu}"),
    ("nonlinearity: sigmoid", "model: {activation: logistic}"),
    ("lr_scheduler: cosine", "training: {learning_rate_schedule: cosine}"),
    ("training: {schedule: cosine}", "training: {learning_rate_schedule: cosine}"),
    ("data: mnist", "dataset: {name: mnist}"),
    ("n_train: 500", "dataset: {train_size: 500}"),
    ("lr: '0.5'", "training: {learning_rate: 0.5}"),
    ("iterations: 1e3", "training: {updates: 1000}"),
    ("seeds: '0:5'", "seeds: [0, 1, 2, 3, 4]"),
    ("seeds: 2-4", "seeds: [2, 3, 4]"),
    ("seeds: 0..4", "seeds: 5 "),
    ("seeds: 0 2 4", "seeds: [0, 2, 4]"),
    ("seeds: -1", "seeds: [0, 1, 2]"),
    ("seeds: 0", "seeds: [0]"),
    ("parameters: {lr: {values: [0.1, 0.2]}, dropout: {min: 0, max: 0.5}}",
     "sweep: {grid: {training.learning_rate: [0.1, 0.2], dropout.p: [0, 0.5]}}"),
    ("parameters: {epochs: {value: 5}}", "sweep: {grid: {training.epochs: [5]}}"),
    ("grid: {dropout.p: [0, 0.5]}", "sweep: {grid: {dropout.p: [0, 0.5]}}"),
    ("hydra: {sweeper: {params: {dropout.p: '0.1,0.5', model.activation: 'choice(relu, tanh)'}}}",
     "sweep: {grid: {dropout.p: [0.1, 0.5], model.activation: [relu, tanh]}}"),
    ("search_space: {dropout_rate: {type: float, low: 0.0, high: 0.5, step: 0.25}}",
     "sweep: {grid: {dropout.p: '0.0:0.5:0.25'}}"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "right"), WRITE, ids=[text for text, _ in WRITE])
def test_what_to_write_is_told_once_and_is_accepted(text: str, right: str) -> None:
    (mistake,) = mistakes_of(text)
    assert right in mistake
    assert check(parse_document(right, "c.yaml"), sweep=True)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("dropout: {keep_prob: 0.9}", "for keep_prob: 0.9 write p: 0.1."),
        ("extends: base.yaml", "copy the keys of the other file into this one, or use sizes."),
        ("optimizer: {name: adam}", "write its keys in the section training."),
        ("data: {name: mnist}", "write its keys in the section dataset."),
        ("num_classes: 10", "leave it out, because the data set decides it."),
        ("model: {batch_norm: true}", "leave it out, because the networks are fully connected."),
        ("hiden: 3", "did you mean model.hidden? Allowed: a list of positive whole numbers."),
        ("training: {mometum: 0.9}", "did you mean 'momentum'?"),
        (
            "training: {foo: 1}",
            "To see every key and what it means: dropout-lab config show --comm",
        ),
        ("model: {foo: 1}", "known in model: hidden, activation, pieces, normalization, normaliz"),
    ],
)
def test_what_has_no_key_here_is_answered_in_words(text: str, answer: str) -> None:
    (mistake,) = mistakes_of(text)
    assert answer in mistake


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("model: {hidden: 512}", "hidden: [512]"),
        ("model: {hidden: '512'}", "hidden: [512]"),
        ("model: {hidden: '512, 256'}", "hidden: [512, 256]"),
        ("training: {learning_rate: '0.1'}", "learning_rate: 0.1"),
        ("training: {epochs: 1e3}", "epochs: 1000"),
        ("dropout: {p: '0.5'}", "p: 0.5"),
    ],
)
def test_a_value_that_is_almost_right_is_answered_with_the_right_one(text: str, right: str) -> None:
    (mistake,) = mistakes_of(text)
    section = text.partition(":")[0]
    assert f"; write {right}; allowed: " in mistake
    assert check(parse_document(f"{section}: {{{right}}}", "c.yaml"))


def test_a_list_without_brackets_is_answered_with_brackets() -> None:
    first, second = mistakes_of("model: {hidden: 512, 256}")
    assert "write a list in brackets, such as hidden: [512, 512]" in first
    assert "write hidden: [512]" in second


IN_THE_GRID = [
    ("{dropout: {p: [0, 0.5]}}", "dropout.p: [0, 0.5]"),
    ("{p: [0, 0.5]}", "dropout.p: [0, 0.5]"),
    ("{lr: [0.1, 0.2]}", "training.learning_rate: [0.1, 0.2]"),
    ("{dropout.p: 0.5}", "dropout.p: [0.5]"),
]


@pytest.mark.parametrize(("grid", "right"), IN_THE_GRID)
def test_a_grid_in_another_form_is_answered_with_its_line(grid: str, right: str) -> None:
    (mistake,) = mistakes_of(f"sweep: {{grid: {grid}}}")
    assert right in mistake
    assert check(parse_document(f"sweep: {{grid: {{{right}}}}}", "c.yaml"), sweep=True)


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("device: cuda", "--device cuda."),
        ("training: {device: cpu}", "--device cpu."),
        ("output_dir: runs/a", "--out runs/a."),
        ("out: x y", "--out DIR."),
        ("data_dir: ~/data", "--data-dir ~/data."),
        ("dataset: {data_dir: /d}", "--data-dir /d."),
        ("workers: 4", "--workers 4."),
        ("save_models: true", "--save-models."),
        ("dry_run: true", "--dry-run."),
    ],
)
def test_what_is_an_option_here_is_named(text: str, option: str) -> None:
    (mistake,) = mistakes_of(text)
    assert mistake.endswith(f"give it on the command line: {option}")


def test_another_programs_search_is_one_message() -> None:
    text = """\
program: train.py
method: bayes
metric: {name: accuracy, goal: maximize}
parameters:
  dropout: {values: [0.1, 0.5]}
  attention_heads: {values: [1, 2]}
name: mine
device: cuda
"""
    search, device = mistakes_of(text)
    assert "sweep: {grid: {dropout.p: [0.1, 0.5]}}" in search
    assert search.endswith("Leave out method, metric, program, attention_heads.")
    assert "--device cuda" in device


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ("gelu", "model.activation"), ("elu", "model.activation"), ("silu", "model.activation"),
        ("imagenet", "dataset.name"), ("stl10", "dataset.name"), ("omniglot", "dataset.name"),
        ("nadam", "training.optimizer"), ("adamax", "training.optimizer"),
        ("adagrad", "training.optimizer"), ("float16", "training.precision"),
        ("dropblock", "dropout.variant"), ("zoneout", "dropout.variant"),
        ("orthogonal", "model.init"),
    ],
)  # fmt: skip
def test_nothing_is_suggested_for_what_is_not_here(value: str, key: str) -> None:
    section, _, name = key.partition(".")
    (mistake,) = mistakes_of(f"{section}: {{{name}: {value}}}")
    assert "did you mean" not in mistake
    listed = "dropout-lab variants" if key == "dropout.variant" else "allowed: one of"
    assert listed in mistake


@pytest.mark.parametrize(
    ("value", "key", "right"),
    [
        ("ReLU", "model.activation", "relu"), ("reul", "model.activation", "relu"),
        ("Sigmoid", "model.activation", "logistic"), ("MNIST", "dataset.name", "mnist"),
        ("Fashion-MNIST", "dataset.name", "fashion_mnist"), ("SGD", "training.optimizer", "sgd"),
        ("AdamW", "training.optimizer", "adamw"), ("bf16", "training.precision", "bfloat16"),
        ("CIFAR-10", "dataset.name", "cifar10"), ("EMNIST", "dataset.name", "emnist_balanced"),
        ("moons", "dataset.name", "two_moons"), ("qmnst", "dataset.name", "qmnist"),
        ("gausian", "dropout.variant", "gaussian"), ("drop connect", "dropout.variant", "dropc"),
    ],
)  # fmt: skip
def test_a_near_miss_is_suggested_whatever_its_case(value: str, key: str, right: str) -> None:
    section, _, name = key.partition(".")
    (mistake,) = mistakes_of(f"{section}: {{{name}: {value}}}")
    assert f"did you mean '{right}" in mistake


def test_the_nearest_word_is_a_typo_at_most() -> None:
    known = ("epochs", "momentum_epochs", "batch_size", "p")
    words = ("epoch", "ephocs", "Epochs", "batchsize", "batch-size", "P")
    assert [find_nearest_word(word, known) for word in words] == [
        "epochs", "epochs", "epochs", "batch_size", "batch_size", "p",
    ]  # fmt: skip
    assert [find_nearest_word(w, known) for w in ("num_epochs", "pochs", "q", "x" * 10_000)] == [
        None
    ] * 4
    assert set(OTHER_KEYS.values()) <= set(KEYS)
    assert not set(OTHER_VALUES) & set(OTHER_VALUES.values())


OPTIONS = [
    (["--seeds", "0:5"], "--seeds 0,1,2,3,4"),
    (["--seeds", "0-4"], "--seeds 5"),
    (["--seeds", "0..4"], "--seeds 5"),
    (["--seeds", "3-5"], "--seeds 3,4,5"),
    (["--seeds", "0,2-3"], "--seeds 0,2,3"),
    (["--seeds", "0 1"], "--seeds 0,1"),
    (["--seeds", "3-3"], "--seeds 3,"),
    (["--seeds", "five"], "--seeds 0,1,2"),
    (["--seeds", "0-999"], "--seeds 1000"),
    (["--set", "seeds=0-4"], "--seeds 5"),
    (["--p", "0.1-0.5"], "--p 0:0.9:0.1"),
    (["--p", "0 0.5"], "--p 0,0.25,0.5"),
    (["--set", "model.hidden=[[16],[32]]"], "--set 'model.hidden=[16],[32]'"),
    (["--set", "training.learning_rate=[0.1,0.2]"], "--set training.learning_rate=0.1,0.2"),
    (["--set", "dropout=0.5"], "--set dropout.p=0.5"),
    (["--set", "dataset=mnist"], "--set dataset.name=mnist"),
    (["--set", "p=0.5"], "--set dropout.p=0.5"),
    (["--set", "lr=0.5"], "--set training.learning_rate=0.5"),
]


def changes_of(words: list[str]) -> Changes:
    option, value = words
    if option == "--set":
        return Changes(settings=(value,), sweep=True)
    return Changes(sweep=True, **{option.removeprefix("--"): value})


@pytest.mark.parametrize(("given", "right"), OPTIONS, ids=[" ".join(g) for g, _ in OPTIONS])
def test_an_option_in_another_form_is_answered_with_the_one_to_type(
    given: list[str], right: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, changes_of(given))
    assert right in caught.value.mistakes[0]
    assert load(None, changes_of(shlex.split(right)))


def test_seeds_in_brackets_are_the_list() -> None:
    assert load(None, Changes(seeds="[3, 5]")).seeds == load(None, Changes(seeds="3,5")).seeds
    assert load(None, Changes(seeds="[3]")).seeds == load(None, Changes(seeds="3,")).seeds == (3,)


def test_every_text_to_copy_is_short_whatever_is_given() -> None:
    many = list(range(1_000))
    for data in ({"sweep": many}, {"sweep": {"p": many}}, {"parameters": {"p": many}},
                 {"training": {"epochs": many}}, {"model": many}, {"seeds": "0-5000 7"},
                 {"sweep": {"grid": {"epochs": many}}}, {"dropout": [0.5] * 1_000}):  # fmt: skip
        with pytest.raises(ConfigError) as caught:
            check(Document("c.yaml", data))
        assert max(map(len, caught.value.mistakes)) < 1_000, data
