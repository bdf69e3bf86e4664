"""The process that workers are forked from: it has imported PyTorch, and it has one thread."""

import multiprocessing
import os

import pytest

from dropout_lab.cluster.forkserver import FORKS, start_forkserver


@pytest.mark.skipif(not FORKS, reason="workers are not forked on this system")
def test_it_has_imported_pytorch_and_can_be_forked_safely() -> None:
    before = dict(os.environ)
    start_forkserver()
    start_forkserver()  # there is one already
    assert dict(os.environ) == before
    with multiprocessing.get_context("forkserver").Pool(1) as pool:
        assert pool.apply(eval, ("'torch' in __import__('sys').modules",))
        parent = "__import__('os').listdir(f'/proc/{__import__(\"os\").getppid()}/task')"
        assert len(pool.apply(eval, (parent,))) == 1
