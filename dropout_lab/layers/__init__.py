"""The dropout variants, one file each, and the table ``VARIANTS`` of their classes by name."""

from typing import Any

from dropout_lab.layers.affine import affine
from dropout_lab.layers.alpha import AlphaDropout
from dropout_lab.layers.base import (
    BernoulliDropout,
    Dropout,
    Mask,
    UnitDropout,
    UnitInputs,
    WeightDropout,
)
from dropout_lab.layers.batchwise import BatchwiseDropout
from dropout_lab.layers.bayes_by_backprop import BayesByBackprop
from dropout_lab.layers.concrete import ConcreteDropout
from dropout_lab.layers.dropconnect import DropConnect
from dropout_lab.layers.fast import FastDropout
from dropout_lab.layers.gaussian import GaussianDropout
from dropout_lab.layers.gaussian_dropconnect import GaussianDropConnect
from dropout_lab.layers.guided import GuidedDropout
from dropout_lab.layers.information import InformationDropout
from dropout_lab.layers.inverted import InvertedDropout
from dropout_lab.layers.jumpout import JumpoutDropout
from dropout_lab.layers.learned import LearnedDropout
from dropout_lab.layers.learned_bernoulli import LearnedBernoulliDropout
from dropout_lab.layers.linear import DropoutLinear
from dropout_lab.layers.masksembles import Masksembles
from dropout_lab.layers.mixout import MixoutDropout
from dropout_lab.layers.multinomial import EvolutionalDropout, MultinomialDropout
from dropout_lab.layers.nested import NestedDropout
from dropout_lab.layers.none import NoDropout
from dropout_lab.layers.old_names import renamed_class
from dropout_lab.layers.shakeout import ShakeoutDropout
from dropout_lab.layers.sparse_variational import SparseVariationalDropout
from dropout_lab.layers.standard import StandardDropout
from dropout_lab.layers.standout import StandoutDropout
from dropout_lab.layers.stochastic_delta import StochasticDeltaRule
from dropout_lab.layers.targeted import TargetedUnitDropout, TargetedWeightDropout
from dropout_lab.layers.uniform import UniformDropout
from dropout_lab.layers.unscaled import UnscaledDropout
from dropout_lab.layers.variational import (
    VariationalA2Dropout,
    VariationalADropout,
    VariationalBDropout,
)
from dropout_lab.variant import Variant

VARIANTS: dict[str, type[Dropout]] = {
    "none": NoDropout,
    "inverted": InvertedDropout,
    "standard": StandardDropout,
    "unscaled": UnscaledDropout,
    "gaussian": GaussianDropout,
    "uniform": UniformDropout,
    "alpha": AlphaDropout,
    "standout": StandoutDropout,
    "concrete": ConcreteDropout,
    "learned_bernoulli": LearnedBernoulliDropout,
    "variational_a": VariationalADropout,
    "variational_a2": VariationalA2Dropout,
    "multinomial": MultinomialDropout,
    "evolutional": EvolutionalDropout,
    "information": InformationDropout,
    "guided": GuidedDropout,
    "targeted_unit": TargetedUnitDropout,
    "jumpout": JumpoutDropout,
    "nested": NestedDropout,
    "masksembles": Masksembles,
    "batchwise": BatchwiseDropout,
    "variational_b": VariationalBDropout,
    "sparse_variational": SparseVariationalDropout,
    "bayes_by_backprop": BayesByBackprop,
    "stochastic_delta": StochasticDeltaRule,
    "shakeout": ShakeoutDropout,
    "targeted_weight": TargetedWeightDropout,
    "mixout": MixoutDropout,
    "fast": FastDropout,
    "dropconnect": DropConnect,
    "gaussian_dropconnect": GaussianDropConnect,
}

__all__ = [
    "VARIANTS",
    "AlphaDropout",
    "BatchwiseDropout",
    "BayesByBackprop",
    "BernoulliDropout",
    "ConcreteDropout",
    "DropConnect",
    "Dropout",
    "DropoutLinear",
    "EvolutionalDropout",
    "FastDropout",
    "GaussianDropConnect",
    "GaussianDropout",
    "GuidedDropout",
    "InformationDropout",
    "InvertedDropout",
    "JumpoutDropout",
    "LearnedBernoulliDropout",
    "LearnedDropout",
    "Mask",
    "Masksembles",
    "MixoutDropout",
    "MultinomialDropout",
    "NestedDropout",
    "NoDropout",
    "ShakeoutDropout",
    "SparseVariationalDropout",
    "StandardDropout",
    "StandoutDropout",
    "StochasticDeltaRule",
    "TargetedUnitDropout",
    "TargetedWeightDropout",
    "UniformDropout",
    "UnitDropout",
    "UnitInputs",
    "UnscaledDropout",
    "Variant",
    "VariationalA2Dropout",
    "VariationalADropout",
    "VariationalBDropout",
    "WeightDropout",
    "affine",
]


def __getattr__(name: str) -> Any:
    return renamed_class(__name__, name)
