"""What the packing goes by: the same on machines of one class, whatever is free just now."""

from pathlib import Path

import pytest
import torch

from dropout_lab.study import machine
from dropout_lab.study.machine import (
    Machine,
    cache_bytes,
    coarse,
    physical_memory,
    this_machine,
    total_memory,
)

GB = 2**30


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_without_a_limit_the_memory_is_the_machines(tmp_path: Path) -> None:
    assert total_memory(tmp_path) == physical_memory() > 0


def test_the_limit_of_a_cgroup_of_version_2_counts(tmp_path: Path) -> None:
    write(tmp_path / "proc/self/cgroup", "0::/jobs/one\n")
    write(tmp_path / "sys/fs/cgroup/jobs/one/memory.max", "max\n")
    assert total_memory(tmp_path) == physical_memory()
    write(tmp_path / "sys/fs/cgroup/jobs/memory.max", "1000000\n")  # of the one around it
    assert total_memory(tmp_path) == 1_000_000
    write(tmp_path / "sys/fs/cgroup/jobs/one/memory.max", "500000\n")
    assert total_memory(tmp_path) == 500_000


def test_in_a_container_the_limit_stands_at_the_top(tmp_path: Path) -> None:
    write(tmp_path / "proc/self/cgroup", "0::/../../seen/from/outside\n")
    write(tmp_path / "sys/fs/cgroup/memory.max", "700000\n")
    assert total_memory(tmp_path) == 700_000


def test_the_limit_of_a_cgroup_of_version_1_counts(tmp_path: Path) -> None:
    write(tmp_path / "proc/self/cgroup", "5:cpu,cpuacct:/a\n4:memory:/a\n1:name=systemd:/a\n")
    write(tmp_path / "sys/fs/cgroup/memory/a/memory.limit_in_bytes", "900000\n")
    write(tmp_path / "sys/fs/cgroup/memory/memory.limit_in_bytes", str(2**63 - 4096))
    assert total_memory(tmp_path) == 900_000


@pytest.mark.parametrize("text", ["", "nonsense\n", "0::\n", "x\n\n:::\n", "0::/a\n"])
def test_what_the_system_says_strangely_is_no_limit(tmp_path: Path, text: str) -> None:
    write(tmp_path / "proc/self/cgroup", text)
    write(tmp_path / "sys/fs/cgroup/memory.max", "lots")
    assert total_memory(tmp_path) == physical_memory()


def test_the_budget_is_a_coarse_share() -> None:
    """Machines of a class differ by what the kernel and the firmware keep to themselves."""
    assert coarse(7.9 * GB) == coarse(7.7 * GB) == coarse(6 * GB) == 6 * GB
    assert coarse(8 * GB) == 8 * GB
    assert coarse(5.99 * GB) == 4 * GB
    assert [coarse(amount) for amount in (0, 1, 2, 3, 5, 7)] == [1, 1, 2, 3, 4, 6]
    assert all(amount / 1.5 < coarse(amount) <= amount for amount in range(4, 3000))


def test_the_budget_does_not_change_with_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    before = this_machine(cpu)
    held = torch.ones(20_000_000)
    assert this_machine(cpu) == before
    del held
    monkeypatch.setattr(machine, "total_memory", lambda: 16 * GB)
    assert this_machine(cpu) == Machine(before.threads, before.cache, 8 * GB)
    assert this_machine(cpu, memory=5).memory == 5


def test_the_largest_cache_counts(tmp_path: Path) -> None:
    folder = tmp_path / "sys/devices/system/cpu/cpu0/cache"
    for index, size in enumerate(("32K", "1024K", "16M", "x", "")):
        write(folder / f"index{index}/size", f"{size}\n")
    assert cache_bytes(tmp_path) == 16 * 2**20


def test_a_cache_that_is_unknown_is_a_common_one(tmp_path: Path) -> None:
    assert cache_bytes(tmp_path) == 32 * 2**20
