"""The catalogue of dropout variants: formula, meaning and range of p, options, claimed properties.

``dropout-lab variants`` prints the catalogue, the config is checked against it, each layer takes
its range of p from it, and ``dropout-lab verify`` tests its claims. For built-in variants it also
has the memory that they need and their look in plots. This module does not use torch.
"""

from dropout_lab.catalogue.units import UNIT_VARIANTS
from dropout_lab.catalogue.weights import WEIGHT_VARIANTS
from dropout_lab.variant import BuiltInVariant, Variant

COST_MEASURED = (
    "time of a training step over one of none: 784-512-512-10, batch 128, 4 runs, SGD, p = 0.5 "
    "after both hidden layers, float32; median of n = 15 pairs on 2 cores of an AMD EPYC, torch "
    "2.15 (variants after version 0.1.0: torch 2.14, while other programs ran); `python "
    "benchmarks/dropout_cost.py 15` measures it here"
)

DROPOUT_K_PASSES = 4  # default of dropout.passes
ADVERSARIAL_RADIUS = 0.05  # default of dropout.radius
ADVERSARIAL_VARIANTS = ("inverted", "standard", "unscaled")  # those whose masks it can switch

# Keys of the section dropout that each loss reads, with their defaults.
LOSS_OPTIONS: dict[str, dict[str, float]] = {
    "r_drop": {"loss_weight": 1.0},
    "expectation_linear": {"loss_weight": 1.0},
    "fraternal": {"loss_weight": 0.1},
    "explicit": {"loss_weight": 1.0},
    "dropout_k": {"passes": DROPOUT_K_PASSES},
    "adversarial": {"loss_weight": 1.0, "radius": ADVERSARIAL_RADIUS},
}

BUILT_IN: dict[str, BuiltInVariant] = {**UNIT_VARIANTS, **WEIGHT_VARIANTS}

# The built-in variants, and the variants of plugins, which are added at run time.
CATALOGUE: dict[str, Variant] = dict(BUILT_IN)


def variant_of_other_name(name: str) -> str | None:
    """Return the name in the catalogue of a variant that papers call ``name``; None if unknown."""
    word = name.lower().replace("-", "_").replace(" ", "_").removesuffix("_dropout")
    found = [key for key, kind in CATALOGUE.items() if word in kind.other_names]
    return found[0] if found else None
