"""Phrases, limits and colours that several entries of the catalogue share."""

INFINITE = "the variance p / (1 - p) of its noise is infinite there"
DIVISION_BY_0 = "kept weights are divided by 1 - p, which would be 0"
AT_MOST_ONE = "alpha = p / (1 - p) must be at most 1, where the approximation of the KL is valid"
ALPHA_OPTIONS = {"alpha_per": "layer", "kl_weight": 1.0, "kl_warmup": (0.0, 0.0)}
ALPHA = "alpha = p / (1 - p) at the start"

BELOW_ONE = 1 - 2.0**-53
DROP = "probability of dropping a unit"
VARIANCE = "the noise has variance p / (1 - p)"
TO_BE_PRUNED = (
    "designed for pruning: compare pruned_test_accuracy; for a pruned network without dropout, "
    "use a p near 0"
)
EVERY_MOMENT = ("relu", "logistic", "tanh", "linear")
ONE_PRE_ACTIVATION = ("relu", "logistic", "tanh", "selu", "linear")
# Paul Tol's bright scheme and two more of his colours, distinct with any colour vision.
BLUE, CYAN, RED, GREEN, YELLOW = "#4477AA", "#66CCEE", "#EE6677", "#228833", "#CCBB44"
PURPLE, TEAL, ORANGE, BLACK = "#AA3377", "#44AA99", "#EE7733", "#000000"
JMLR = "Srivastava et al. 2014, JMLR 15"
KINGMA = "Kingma, Salimans, Welling 2015, NIPS"
