"""A trained network for use elsewhere: the state dict of a plain ``nn.Sequential``."""

import io
from pathlib import Path

import torch

from dropout_lab.model import MLP

WEIGHTS = "weights.pt"
_STEP = 3  # Linear, activation, dropout


def weights_bytes(model: MLP, run: int) -> bytes:
    """Return one run's weights as the content of ``weights.pt``.

    They load into ``nn.Sequential(Linear, activation, Dropout, Linear, ..., Linear)``, with
    dropout or any module without state at every third place, by ``load_state_dict(torch.load(path,
    weights_only=True))``.
    """
    state = {}
    for layer, (weight, bias) in enumerate(zip(model.weights, model.biases, strict=True)):
        state[f"{_STEP * layer}.weight"] = weight.detach()[run].T.contiguous().cpu()
        state[f"{_STEP * layer}.bias"] = bias.detach()[run, 0].clone().cpu()
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def damage_of_weights(path: Path) -> str:
    """Return what is wrong with kept weights; empty if they are sound or absent."""
    if not path.exists():
        return ""
    try:
        state = torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)
    except Exception as error:  # whatever the bytes make of the reader
        return f"{path.name} cannot be loaded ({type(error).__name__})"
    return "" if isinstance(state, dict) else f"{path.name} holds no weights"
