"""Export a trained network as the state dict of a plain ``nn.Sequential``."""

import io
import struct

import torch

from dropout_lab.folder.weights import COMMENT_BYTES, comment
from dropout_lab.model import MLP

_STEP = 3  # Linear, activation, dropout


def weights_bytes(model: MLP, index: int, run_id: str) -> bytes:
    """Serialize one run's weights for ``weights.pt``.

    They load into ``nn.Sequential(Linear, activation, Dropout, Linear, ..., Linear)``, with
    dropout or any module without state at every third place, by ``load_state_dict(torch.load(path,
    weights_only=True))``.

    Args:
        model: The networks of a fleet.
        index: The place of the run in the fleet.
        run_id: The run.
    """
    state = {}
    for layer, (weight, bias) in enumerate(zip(model.weights, model.biases, strict=True)):
        state[f"{_STEP * layer}.weight"] = weight.detach()[index].T.contiguous().cpu()
        state[f"{_STEP * layer}.bias"] = bias.detach()[index, 0].clone().cpu()
    buffer = io.BytesIO()
    torch.save(state, buffer)
    body = buffer.getvalue()[:-2] + struct.pack("<H", COMMENT_BYTES)
    return body + comment(body, run_id)
