"""Read and check a run's weights.pt, a ZIP archive with a digest.

The comment of the archive holds the run's id and the SHA-256 of everything before it. So the file
is bound to its run and to its bytes in one write, and ``torch.load`` reads it as any other.
"""

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING

from dropout_lab.files import read_optional_file

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = "weights.pt"
_MARK = b"dropout-lab "
_END = b"PK\x05\x06"  # what the record at the end of a ZIP archive begins with
_END_BYTES = 22  # of that record, without the comment; its last two are the comment's length
COMMENT_BYTES = len(_MARK) + 12 + 1 + 2 * hashlib.sha256().digest_size


def read_weights(path: Path) -> "dict[str, Tensor] | None":
    """Read a run's weights; None if there are none.

    Weights of an older dropout-lab have no digest. They are read as they are.

    Raises:
        ValueError: They are not what was written, or those of another run.
        StorageError: The system refuses to read them.
    """
    content = read_optional_file(path)
    if content is None:
        return None
    _check(content, path.parent.name)
    return _loaded(content)


def check_weights(path: Path) -> object:
    """Check a run's weights; load them only if they have no digest.

    Raises:
        ValueError: They are not what was written, or those of another run.
        StorageError: The system refuses to read them.
    """
    content = read_optional_file(path)
    if content is not None and not _check(content, path.parent.name):
        _loaded(content)
    return content


def comment(body: bytes, run_id: str) -> bytes:
    """Return the comment of an archive: the run id and the SHA-256 of the preceding bytes."""
    before = _MARK + f"{run_id} ".encode()
    return before + hashlib.sha256(body + before).hexdigest().encode()


def _check(content: bytes, run_id: str) -> bool:
    """Return whether weights have a digest; raise ValueError where it is not theirs."""
    end = content[-COMMENT_BYTES:]
    if end.startswith(_MARK):
        written_for = end[len(_MARK) :].partition(b" ")[0].decode("ascii", "replace")
        if end != comment(content[:-COMMENT_BYTES], written_for):
            raise ValueError("is not what was written: its SHA-256 is another")
        if written_for != run_id:
            raise ValueError(f"is of another run, {written_for}")
        return True
    if not (content[-_END_BYTES:].startswith(_END) and content.endswith(b"\0\0")):
        raise ValueError("is not what was written: its end is another")
    return False


def _loaded(content: bytes) -> "dict[str, Tensor]":
    import torch  # seconds, which a report of weights with a digest need not wait for

    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # whatever the bytes make of the reader
        raise ValueError(f"cannot be loaded ({type(error).__name__})") from error
    tensors = isinstance(state, dict) and all(isinstance(v, torch.Tensor) for v in state.values())
    if not tensors:
        raise ValueError("holds no weights")
    weights: dict[str, Tensor] = state
    return weights
