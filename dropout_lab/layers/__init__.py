"""The dropout variants: one file each, and the one table that lists them."""

from dropout_lab.layers.base import BernoulliDropout, Dropout, Mask, UnitDropout, affine
from dropout_lab.layers.dropconnect import DropConnect, DropConnectLinear
from dropout_lab.layers.gaussian import GaussianDropout
from dropout_lab.layers.inverted import InvertedDropout
from dropout_lab.layers.none import NoDropout
from dropout_lab.layers.standard import StandardDropout
from dropout_lab.layers.unscaled import UnscaledDropout

VARIANTS: dict[str, type[Dropout]] = {
    "none": NoDropout,
    "inverted": InvertedDropout,
    "standard": StandardDropout,
    "unscaled": UnscaledDropout,
    "gaussian": GaussianDropout,
    "dropconnect": DropConnect,
}

__all__ = [
    "VARIANTS",
    "BernoulliDropout",
    "DropConnect",
    "DropConnectLinear",
    "Dropout",
    "GaussianDropout",
    "InvertedDropout",
    "Mask",
    "NoDropout",
    "StandardDropout",
    "UnitDropout",
    "UnscaledDropout",
    "affine",
]
