"""What a forked command finds imported and read, and how it runs."""

import functools
import os
import sys
from pathlib import Path

import dropout_lab.analysis.plots
import dropout_lab.cli.running
import dropout_lab.cli.table
from dropout_lab import cli, data
from dropout_lab.data import mnist_5k

mnist_5k.load_mnist_5k = functools.cache(mnist_5k.load_mnist_5k)
data.load_mnist_5k = mnist_5k.load_mnist_5k  # type: ignore[attr-defined]


def run(arguments: list[str], log: str) -> None:
    """Run ``dropout-lab`` with some arguments; its outputs go to a file."""
    os.chdir(Path(log).parent)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(handle, stream)
    os.close(handle)
    sys.argv = ["dropout-lab", *arguments]
    cli.main()
