"""Words of other programs and what to write instead; the known word that a typo is for."""

from collections.abc import Iterable

OTHER_WORDS: dict[str, str] = {
    "keep_prob": "p is the chance of dropping; for keep_prob: 0.8 write p: 0.2",
    "rate": "write p, the chance of dropping",
    "dropout_rate": "write p, the chance of dropping",
    "drop_prob": "write p, the chance of dropping",
    "lr": "write learning_rate",
    "weight_decay": "write l2 in the section regularization",
    "resume": "run the same command again to resume a study",
    "seed": "write seeds: [7] for the one seed 7",
    **dict.fromkeys(
        ("parameters", "params", "search_space", "hyperparameters", "param_grid", "grid"),
        "what to vary is a grid: write sweep: {grid: {dropout.p: [0, 0.5]}}",
    ),
    "plugin": "a plugin is given on the command line only: --plugin FILE",
    "plugins": "a plugin is given on the command line only: --plugin FILE",
}

# Names of a key in other programs, for a search that is written in their words.
OTHER_KEYS: dict[str, str] = {
    "dropout": "dropout.p",
    "dropout_rate": "dropout.p",
    "drop_prob": "dropout.p",
    "lr": "training.learning_rate",
    "num_epochs": "training.epochs",
    "n_epochs": "training.epochs",
    "max_epochs": "training.epochs",
    "max_steps": "training.updates",
    "steps": "training.updates",
    "bs": "training.batch_size",
    "early_stopping": "training.patience",
    "weight_decay": "regularization.l2",
    "hidden_size": "model.hidden",
    "hidden_sizes": "model.hidden",
    "hidden_layers": "model.hidden",
    "hidden_units": "model.hidden",
    "hidden_dim": "model.hidden",
    "layers": "model.hidden",
    "layer_sizes": "model.hidden",
    "units": "model.hidden",
    "dataset": "dataset.name",
    "model": "model.hidden",
}

# What other programs have in their config, and this one as an option.
OPTIONS: dict[str, str] = {
    "device": "--device NAME",
    "accelerator": "--device NAME",
    "gpu": "--device cuda",
    "gpus": "--device cuda",
    **dict.fromkeys(
        ("out", "output", "out_dir", "output_dir", "results_dir", "save_dir", "log_dir"),
        "--out DIR",
    ),
    **dict.fromkeys(("data", "data_dir", "data_path", "data_root", "root"), "--data-dir DIR"),
    **dict.fromkeys(("workers", "n_jobs", "num_workers"), "--workers N"),
    "fleet": "--fleet N",
    "memory": "--memory SIZE",
    "save_model": "--save-models",
    "save_models": "--save-models",
    "dry_run": "--dry-run",
    "quiet": "--quiet",
}

OTHER_VALUES: dict[str, str] = {
    "bernoulli": "inverted",
    "dropout": "inverted",
    "adaptive": "standout",
    "variational": "variational_a",
    "molchanov": "sparse_variational",
    "targeted": "targeted_weight",
    "curriculum": "exponential",
    "rdrop": "r_drop",
    "sigmoid": "logistic",
    "identity": "linear",
    "fashion": "fashion_mnist",
    "fmnist": "fashion_mnist",
    "kaiming": "he",
    "xavier": "glorot",
    "bf16": "bfloat16",
    "fp32": "float32",
}

# Words of the field for something else, however near: no typo of a word that is known here.
_NO_TYPOS = frozenset({"adamax", "adagrad", "float16", "float64", "relu6", "sgdw", "silu"})
_SHORT = 5  # letters of a word in which one letter may be wrong; in a longer one, two
_LONGEST = 40


def nearest_word(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that a word is written for, if it is one but for a typo.

    Case, spaces and hyphens do not count. Otherwise the first letter must be right, and at most one
    or two others wrong, missing, too many, or swapped with the next.
    """
    plain = _plain(word)
    if plain in _NO_TYPOS or len(word) > _LONGEST:
        return None
    most = 1 if len(plain) <= _SHORT else 2
    best: tuple[int, str] | None = None
    for each in known:
        other = _plain(each)
        if other == plain:
            return each
        if other[:1] == plain[:1] and abs(len(other) - len(plain)) <= most:
            edits = _edits(plain, other)
            if edits <= most and (best is None or edits < best[0]):
                best = edits, each
    return None if best is None else best[1]


def _plain(word: str) -> str:
    return word.strip().casefold().replace("-", "_").replace(" ", "_")


def _edits(word: str, other: str) -> int:
    """Return how many letters differ: Damerau and Levenshtein's distance of adjacent swaps."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(word, 1):
        before, last, row = row, before, [i]
        for j, theirs in enumerate(other, 1):
            cost = min(before[j] + 1, row[-1] + 1, before[j - 1] + (letter != theirs))
            if i > 1 and j > 1 and letter == other[j - 2] and word[i - 2] == theirs:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]
