"""Two hosts, made of network namespaces, of which one is cut off for a while.

Needs root and the program ip (iproute2).
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.processes import driver, ends, processes, rows, until
from tests.study.test_run import assert_same_results

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ASKED = ("--set=dropout.p=0.5", "--seeds", "4", "--epochs", "300", "--fleet", "2")
PATIENCE = 12  # seconds that Dask waits for a host that is silent
HOSTS = ("dropout-lab-a", "dropout-lab-b")


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture
def hosts() -> Iterator[None]:
    """Two hosts with a cable between them."""
    if os.geteuid() or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and iproute2")
    one, other = HOSTS
    try:
        for host in HOSTS:
            ip("netns", "add", host)
        ip("link", "add", "va", "netns", one, "type", "veth", "peer", "name", "vb", "netns", other)
        for host, end, address in ((one, "va", "10.9.8.1/24"), (other, "vb", "10.9.8.2/24")):
            ip("-n", host, "address", "add", address, "dev", end)
            for device in ("lo", end):
                ip("-n", host, "link", "set", device, "up")
        yield
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr.decode()}")
    finally:
        for host in HOSTS:
            subprocess.run(["ip", "netns", "delete", host], check=False, capture_output=True)


@pytest.mark.parametrize(
    ("seconds", "again"), [(5, False), (3 * PATIENCE, True)], ids=["briefly", "for long"]
)
def test_a_host_is_cut_off_for_a_while(
    hosts: None, tmp_path: Path, seconds: float, again: bool
) -> None:
    """Briefly, its fleet goes on; for long, another host begins it again. Nothing twice or lost."""
    ends(driver(tmp_path / "whole", *ASKED), tmp_path / "whole")
    inside = [["ip", "netns", "exec", host] for host in HOSTS]
    patient = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": f"{PATIENCE}s"}
    with processes(tmp_path / "logs", host="10.9.8.1", prefix=inside[0], environment=patient) as c:
        c.worker("a", "--host", "10.9.8.1", prefix=inside[0])
        c.worker("b", "--host", "10.9.8.2", prefix=inside[1])
        out = tmp_path / "s"
        asked = (*ASKED, "--scheduler", c.address)
        study = driver(out, *asked, prefix=inside[0], environment=patient)
        until(lambda: " on b: " in out.with_suffix(".stderr").read_text() and rows(out) > 10)
        ip("-n", HOSTS[1], "link", "set", "vb", "down")
        time.sleep(seconds)
        ip("-n", HOSTS[1], "link", "set", "vb", "up")
        told = ends(study, out)
    assert ("b is gone" in told) == again
    assert_same_results(out, tmp_path / "whole")
