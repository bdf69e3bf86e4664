"""Words of other programs, and what to write instead of them."""

OTHER_WORDS: dict[str, str] = {
    "keep_prob": "p is the chance of dropping; for keep_prob: 0.8 write p: 0.2",
    "rate": "write p, the chance of dropping",
    "dropout_rate": "write p, the chance of dropping",
    "drop_prob": "write p, the chance of dropping",
    "lr": "write learning_rate",
    "weight_decay": "write l2 in the section regularization",
    "seed": "write seeds: [7] for the one seed 7",
    "plugin": "a plugin is given on the command line only: --plugin FILE",
    "plugins": "a plugin is given on the command line only: --plugin FILE",
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
    "kaiming": "he",
    "xavier": "glorot",
}
