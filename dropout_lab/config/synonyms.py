"""Words of other programs with what to write instead, and a search for similar words."""

from collections.abc import Iterable

# Names of what another program's config varies.
SEARCHES = ("parameters", "params", "search_space", "hyperparameters", "param_grid", "grid")
_ONE_FILE = "copy the keys of the other file into this one, or use sizes"
_FROM_DATA = "leave it out, because the data set decides it"
_NO_LAYER = "leave it out, because the networks are fully connected"

# What to write instead of a key, where no key with the same value takes its place.
OTHER_WORDS: dict[str, str] = {
    "resume": "run the same command again to resume a study",
    "seed": "write seeds: [7] for the one seed 7",
    **dict.fromkeys(
        SEARCHES,
        "what to vary is a grid: write sweep: {grid: {dropout.p: [0, 0.5]}}",
    ),
    **dict.fromkeys(
        ("plugin", "plugins"), "a plugin is given on the command line only: --plugin FILE"
    ),
    **dict.fromkeys(
        ("extends", "extend", "inherit", "inherits", "include", "includes", "import", "base",
         "base_config", "_base_", "parent", "defaults"),
        _ONE_FILE,
    ),
    **dict.fromkeys(
        ("num_classes", "n_classes", "classes", "input_size", "input_dim", "input_shape",
         "in_features", "output_size", "output_dim", "out_features"),
        _FROM_DATA,
    ),
    **dict.fromkeys(
        ("batch_norm", "batchnorm", "layer_norm", "conv", "convolution", "kernel_size"),
        _NO_LAYER,
    ),
    **dict.fromkeys(("verbose", "log_level"), "to turn progress off, give --quiet to the command"),
    **dict.fromkeys(
        ("augment", "augmentation"),
        "to add noise to the images, use regularization.input_noise",
    ),
}  # fmt: skip

# Names of a key in other programs; those with a dot are of one section only.
OTHER_KEYS: dict[str, str] = {
    **dict.fromkeys(
        ("dropout", "dropout_rate", "drop_rate", "drop_prob", "drop_p", "dropout_p",
         "dropout_prob", "dropout_probability", "drop_probability", "pdrop", "dropout.rate",
         "dropout.prob", "dropout.probability"),
        "dropout.p",
    ),
    **dict.fromkeys(("input_dropout", "dropout_input"), "dropout.input_p"),
    **dict.fromkeys(
        ("dropout_type", "dropout.type", "dropout.kind", "dropout.name", "dropout.method"),
        "dropout.variant",
    ),
    **dict.fromkeys(("dropout.layers", "dropout.where", "dropout.places"), "dropout.placement"),
    **dict.fromkeys(("lr", "learningrate", "eta", "step_size"), "training.learning_rate"),
    **dict.fromkeys(
        ("epoch", "num_epochs", "n_epochs", "max_epochs", "max_epoch", "nb_epoch", "max_iter"),
        "training.epochs",
    ),
    **dict.fromkeys(
        ("steps", "max_steps", "num_steps", "n_steps", "iterations", "num_iterations"),
        "training.updates",
    ),
    **dict.fromkeys(
        ("bs", "batch", "batchsize", "minibatch", "mini_batch_size", "minibatch_size",
         "train_batch_size"),
        "training.batch_size",
    ),
    **dict.fromkeys(("optim", "optimiser", "solver"), "training.optimizer"),
    **dict.fromkeys(
        ("scheduler", "lr_scheduler", "lr_schedule", "training.schedule"),
        "training.learning_rate_schedule",
    ),
    **dict.fromkeys(("lr_decay", "gamma"), "training.learning_rate_decay"),
    **dict.fromkeys(("warmup_epochs", "warm_up"), "training.warmup"),
    **dict.fromkeys(("early_stopping", "early_stopping_patience"), "training.patience"),
    "dtype": "training.precision",
    **dict.fromkeys(
        ("wd", "weight_decay", "l2_reg", "l2_lambda", "l2_penalty", "regularization.lambda",
         "regularization.decay"),
        "regularization.l2",
    ),
    **dict.fromkeys(("l1_reg", "l1_lambda", "l1_penalty"), "regularization.l1"),
    **dict.fromkeys(("maxnorm", "max_norm_constraint"), "regularization.max_norm"),
    "smoothing": "regularization.label_smoothing",
    **dict.fromkeys(
        ("hidden_size", "hidden_sizes", "hidden_layers", "hidden_layer_sizes", "hidden_units",
         "hidden_dim", "hidden_dims", "n_hidden", "num_hidden", "layers", "layer_sizes", "units",
         "n_units", "num_units", "width", "widths", "neurons", "nodes", "model"),
        "model.hidden",
    ),
    **dict.fromkeys(
        ("act", "act_fn", "activation_function", "nonlinearity", "non_linearity"),
        "model.activation",
    ),
    **dict.fromkeys(
        ("initializer", "initialization", "weight_init", "init_weights", "kernel_initializer"),
        "model.init",
    ),
    **dict.fromkeys(("dataset", "data", "dataset_name", "data_set"), "dataset.name"),
    **dict.fromkeys(
        ("n_train", "num_train", "train_samples", "training_size",
         "dataset.size", "dataset.samples", "dataset.examples", "subset_size"),
        "dataset.train_size",
    ),
    **dict.fromkeys(
        ("val_size", "n_val", "num_val", "validation", "valid_size"), "dataset.validation_size"
    ),
    **dict.fromkeys(("label_noise_rate", "noise_rate"), "dataset.label_noise"),
    **dict.fromkeys(("normalization", "normalise", "standardize"), "dataset.normalize"),
    **dict.fromkeys(("eval_every", "evaluate_every", "eval_interval"), "evaluation.every"),
}  # fmt: skip

# Names, in other programs, of what stands at the top of a config here.
OTHER_TOP_KEYS: dict[str, str] = {
    **dict.fromkeys(
        ("n_seeds", "num_seeds", "repeats", "repetitions", "replicates", "n_runs", "num_runs",
         "runs", "trials"),
        "seeds",
    ),
    **dict.fromkeys(
        ("title", "study", "study_name", "experiment", "experiment_name", "exp_name", "run_name"),
        "name",
    ),
    **dict.fromkeys(("description", "comment", "notes"), "about"),
}  # fmt: skip
OTHER_SEEDS = frozenset({"seed", "random_seed", "random_state", "rng_seed", "manual_seed"})
DEPTHS = frozenset({"n_layers", "num_layers", "n_hidden_layers", "num_hidden_layers", "depth"})
KEEP_NAMES = frozenset({"keep_prob", "keep", "keep_p", "keep_rate", "retain_prob", "p_keep"})
OTHER_SECTIONS: dict[str, str] = {
    **dict.fromkeys(("data", "datasets"), "dataset"),
    **dict.fromkeys(("net", "network", "architecture", "arch", "mlp"), "model"),
    **dict.fromkeys(("train", "trainer", "optimizer", "optim", "optimization"), "training"),
    **dict.fromkeys(("reg", "regularizer", "regularisation"), "regularization"),
    **dict.fromkeys(("eval", "evaluate", "metrics", "measure"), "evaluation"),
}

# What other programs have in their config, and this one as an option.
OPTIONS: dict[str, str] = {
    "device": "--device NAME",
    "accelerator": "--device NAME",
    **dict.fromkeys(("gpu", "gpus", "cuda"), "--device cuda"),
    **dict.fromkeys(
        ("out", "output", "out_dir", "output_dir", "results", "results_dir", "save_dir",
         "log_dir"),
        "--out DIR",
    ),
    **dict.fromkeys(
        ("data", "data_dir", "data_path", "data_root", "root", "dataset.folder"),
        "--data-dir DIR",
    ),
    **dict.fromkeys(("workers", "n_jobs", "num_workers"), "--workers N"),
    "fleet": "--fleet N",
    "memory": "--memory SIZE",
    "save_model": "--save-models",
    "save_models": "--save-models",
    "dry_run": "--dry-run",
    "quiet": "--quiet",
}  # fmt: skip

OTHER_VALUES: dict[str, str] = {
    "bernoulli": "inverted",
    "dropout": "inverted",
    "vanilla": "inverted",
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
    "kuzushiji": "kmnist",
    "emnist": "emnist_balanced",
    "cifar": "cifar10",
    "moons": "two_moons",
    "kaiming": "he",
    "xavier": "glorot",
    "bf16": "bfloat16",
    "fp32": "float32",
}

# Words of the field for something else, however near: no typo of a word that is known here.
_NO_TYPOS = frozenset({"adamax", "adagrad", "float16", "float64", "relu6", "sgdw", "silu"})
_SHORT = 5  # letters of a word in which one letter may be wrong; in a longer one, two
_LONGEST = 40
_PART, _START = 4, 5  # letters of a word that are part of another, or that both begin with
_MOST = 4  # words that are like it


def find_similar_words(word: str, known: Iterable[str]) -> list[str]:
    """Find the known words that a word may mean: the word of a typo, else words like it.

    A word is like another if it is part of it, or begins with the same letters.
    """
    known = list(known)
    if (near := find_nearest_word(word, known)) is not None:
        return [near]
    plain = _normalize(word)
    if len(plain) < _PART or len(plain) > _LONGEST:
        return []
    alike = [each for each in known if plain in _normalize(each)]
    alike += [each for each in known if _normalize(each)[:_START] == plain[:_START]]
    return list(dict.fromkeys(alike))[:_MOST]


def find_nearest_word(word: str, known: Iterable[str]) -> str | None:
    """Find the known word of which a word is a typo.

    Case, spaces and hyphens do not count. Otherwise the first letter must be right, and at most one
    or two others wrong, missing, too many, or swapped with the next.
    """
    plain = _normalize(word)
    if plain in _NO_TYPOS or len(word) > _LONGEST:
        return None
    most = 1 if len(plain) <= _SHORT else 2
    best: tuple[int, str] | None = None
    for each in known:
        other = _normalize(each)
        if other == plain:
            return each
        if other[:1] == plain[:1] and abs(len(other) - len(plain)) <= most:
            edits = _edit_distance(plain, other)
            if edits <= most and (best is None or edits < best[0]):
                best = edits, each
    return None if best is None else best[1]


def _normalize(word: str) -> str:
    return word.strip().casefold().replace("-", "_").replace(" ", "_")


def _edit_distance(word: str, other: str) -> int:
    """Return the number of edits: Damerau-Levenshtein distance with adjacent swaps."""
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
