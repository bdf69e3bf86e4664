"""A trained network for use elsewhere: the state dict of a plain ``nn.Sequential``.

``weights.pt`` is a ZIP archive, as torch writes it. Its comment holds the run's id and the SHA-256
of everything before it. So the file is bound to its run and to its bytes, in one write,
and ``torch.load`` reads it as any other.
"""

import hashlib
import io
import struct
from pathlib import Path

import torch
from torch import Tensor

from dropout_lab.model import MLP

WEIGHTS = "weights.pt"
_STEP = 3  # Linear, activation, dropout
_MARK = b"dropout-lab "
_END = b"PK\x05\x06"  # what the record at the end of a ZIP archive begins with
_END_BYTES = 22  # of that record, without the comment; its last two are the comment's length
_COMMENT_BYTES = len(_MARK) + 12 + 1 + 2 * hashlib.sha256().digest_size


def weights_bytes(model: MLP, index: int, run_id: str) -> bytes:
    """Return one run's weights as the content of ``weights.pt``.

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
    body = buffer.getvalue()[:-2] + struct.pack("<H", _COMMENT_BYTES)
    return body + _comment(body, run_id)


def read_weights(path: Path) -> dict[str, Tensor] | None:
    """Return the weights that a run keeps; None if there are none.

    Weights of an older dropout-lab have no digest. They are read as they are.

    Raises:
        ValueError: They are not what was written, or those of another run.
    """
    if not path.exists():
        return None
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from error
    comment = content[-_COMMENT_BYTES:]
    if comment.startswith(_MARK):
        run_id = comment[len(_MARK) :].partition(b" ")[0].decode("ascii", "replace")
        if comment != _comment(content[:-_COMMENT_BYTES], run_id):
            raise ValueError("is not what was written: its SHA-256 is another")
        if run_id != path.parent.name:
            raise ValueError(f"is of another run, {run_id}")
    elif not (content[-_END_BYTES:].startswith(_END) and content.endswith(b"\0\0")):
        raise ValueError("is not what was written: its end is another")
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # whatever the bytes make of the reader
        raise ValueError(f"cannot be loaded ({type(error).__name__})") from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError("holds no weights")
    return state


def _comment(body: bytes, run_id: str) -> bytes:
    before = _MARK + f"{run_id} ".encode()
    return before + hashlib.sha256(body + before).hexdigest().encode()
