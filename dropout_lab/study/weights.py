"""Export a trained network as the state dict of a plain ``nn.Sequential``."""

import io
import struct

import torch

from dropout_lab.folder.weights import COMMENT_BYTES, comment
from dropout_lab.model import MLP

_TORCH_NAMES = {
    "gain": "weight", "shift": "bias", "mean": "running_mean", "variance": "running_var",
}  # fmt: skip


def weights_bytes(model: MLP, index: int, run_id: str) -> bytes:
    """Serialize one run's weights for ``weights.pt``.

    They load into ``nn.Sequential(Linear, activation, Dropout, Linear, ..., Linear)``, with
    dropout or any module without state at every third place, by ``load_state_dict(torch.load(path,
    weights_only=True))``. With normalization, a layer has a fourth module, ``BatchNorm1d`` or
    ``LayerNorm``, at its place in the order of the modules.

    Args:
        model: The networks of a fleet.
        index: The place of the run in the fleet.
        run_id: The run.
    """
    state = {}
    step = 4 if len(model.normalizations) else 3
    for layer, (weight, bias) in enumerate(zip(model.weights, model.biases, strict=True)):
        state[f"{step * layer}.weight"] = weight.detach()[index].T.contiguous().cpu()
        state[f"{step * layer}.bias"] = bias.detach()[index, 0].clone().cpu()
    at = model.normalized_at  # Linear and what comes before the normalization, of three modules
    place_in_layer = 1 + (at >= 1 if model.position == "before" else at == 3) + (at >= 2)
    for layer, normalization in enumerate(model.normalizations):
        place = step * layer + place_in_layer
        for name, parameter in normalization.named_parameters():
            state[f"{place}.{_TORCH_NAMES[name]}"] = parameter.detach()[index, 0].clone().cpu()
    buffer = io.BytesIO()
    torch.save(state, buffer)
    body = buffer.getvalue()[:-2] + struct.pack("<H", COMMENT_BYTES)
    return body + comment(body, run_id)
