"""The entry of a dropout variant in the catalogue. This module does not use torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Variant:
    """A dropout variant.

    Args:
        formula: The effect on the units x of a place, or on its outgoing weights W.
        summary: What it does, in a sentence of at most 60 characters.
        p: The meaning of p.
        paper: The publication.
        cost: Time of a training step, relative to ``none``; see ``COST_MEASURED``.
        learned: The learned parameters, except weights and biases.
        highest_p: The largest allowed p; below 1 if the formula has no value at 1.
        beyond: Why a larger p is not allowed.
        options: Keys of the section ``dropout`` that only some variants read, with their defaults.
        needed: The options without a default.
        between: Whether it acts between the activation and the outgoing weights. Such a variant
            cannot have a position before the activation.
        hidden_only: Whether it needs incoming weights or pre-activations, which the input does not
            have.
        reads_mask: Whether it distinguishes masks per example and masks per batch.
        activations: The allowed activations; empty if all are allowed.
        noisy: Whether it uses random numbers.
        few_masks: Why two examples or two steps can have the same mask by chance; empty if that is
            as good as impossible.
        one_p: Whether all runs of a fleet need the same p, since p determines the shapes.
        moments: Whether mean and variance of the pre-activations are known in closed form.
        biased: Why evaluation is not the mean of training; empty if it is the mean.
        keep_rate: Whether a unit or a weight is 0 with probability exactly p, and otherwise kept.
        matched: Whether its noise, relative to evaluation, has variance p / (1 - p); for learned
            noise, at the start.
        surrogate: The tensors, ``x``, ``weight`` or a learned parameter, whose gradient
            intentionally differs from the derivative of the output.
        source: SHA-256 of the plugin; empty for built-in variants.
        remark: What to know before comparing it with other variants.
        other_names: Names of the same thing in papers and programs, under which it is found too.
    """

    formula: str
    summary: str = ""
    p: str = "probability of dropping a unit"
    paper: str = ""
    cost: float = 1.0
    learned: str = ""
    highest_p: float = 1.0
    beyond: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    needed: tuple[str, ...] = ()
    between: bool = False
    hidden_only: bool = False
    reads_mask: bool = True
    activations: tuple[str, ...] = ()
    noisy: bool = True
    few_masks: str = ""
    one_p: bool = False
    moments: bool = False
    biased: str = ""
    keep_rate: bool = False
    matched: bool = False
    surrogate: tuple[str, ...] = ()
    source: str = ""
    remark: str = ""
    other_names: tuple[str, ...] = ()

    def public_fields(self) -> dict[str, Any]:
        """Return the fields of this class, without those of :class:`BuiltInVariant`."""
        return {each.name: getattr(self, each.name) for each in fields(Variant)}


@dataclass(frozen=True, kw_only=True)
class BuiltInVariant(Variant):
    """A built-in variant, with its measured memory and its look in plots.

    Args:
        bytes_per_unit: Memory of a training step per unit and example at a place with this variant,
            measured by ``benchmarks/memory.py`` and rounded up.
        bytes_per_weight: Memory of a training step per outgoing weight at such a place, besides the
            gradient.
        learns_per_weight: Whether there is a learned parameter for each weight.
        colour: Colour in plots. Related variants have the same colour and different markers.
        marker: Marker in plots.
    """

    bytes_per_unit: int
    bytes_per_weight: int = 0
    learns_per_weight: bool = False
    colour: str
    marker: str
