"""Load data of the user as tensors."""

import numpy as np
import torch

from dropout_lab.data.splits import Examples, draw_test_set
from dropout_lab.datasets.own import Arrays, Reading, forget, read_own
from dropout_lab.errors import DataError


def load_own(reading: Reading, sha256: str) -> tuple[Examples, Examples]:
    """Return the training set and the test set, which is always the same draw.

    Args:
        reading: The file and how it is read.
        sha256: The digest that the config recorded.

    Raises:
        DataError: The file is absent, has mistakes, or has changed since the config was read.
    """
    found = read_own(reading)
    if found.sha256 != sha256:
        raise DataError(
            f"{reading.path} has changed: the SHA-256 of its arrays is {found.sha256[:12]}, it was "
            f"{sha256[:12]}. Restore the file, or give another folder with --out."
        )
    forget()  # the splits are copies; what the config needs of the file is recorded
    training = _to_tensors(found.training)
    if found.test is None:
        return draw_test_set(training, found.test_size)
    return training, _to_tensors(found.test)


def _to_tensors(examples: Arrays) -> Examples:
    x = np.ascontiguousarray(examples.x).reshape(len(examples), -1)
    return Examples(torch.from_numpy(x), torch.from_numpy(examples.labels))
