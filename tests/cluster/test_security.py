"""--workers lets nobody else in: no Dask client, no page, and no file or variable with the key."""

import asyncio
import socket
import ssl
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from distributed import Security
from distributed.comm import connect

from tests.cluster.processes import driver, rows, until

KEY = "PRIVATE KEY"  # as it stands in every file with one


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[psutil.Process, Path]]:
    """A study in training on one worker, and the folder of its temporary files."""
    folder = tmp_path_factory.mktemp("security")
    temporary = folder / "tmp"
    temporary.mkdir()
    out = folder / "s"
    asked = ("--seeds", "1", "--epochs", "100000", "--workers", "1")
    started = driver(out, *asked, environment={"TMPDIR": str(temporary)})
    try:
        until(lambda: rows(out) > 1)
        yield psutil.Process(started.pid), temporary
    finally:
        started.terminate()
        started.wait()
    assert not [*temporary.iterdir()]


def listening(command: psutil.Process) -> dict[int, str]:
    """Return the ports of the command and its processes, and where they listen."""
    family = [command, *command.children(recursive=True)]
    found = [c for process in family for c in process.net_connections("inet")]
    return {c.laddr.port: c.laddr.ip for c in found if c.status == psutil.CONN_LISTEN}


def test_whoever_has_not_the_certificate_is_refused_at_every_port(
    command: tuple[psutil.Process, Path],
) -> None:
    """By TCP, and by TLS with no certificate or another; nor is there a page to read."""
    ports = listening(command[0])
    assert set(ports.values()) == {"127.0.0.1"}
    pages = set(filter(is_web, ports))
    assert (len(pages), len(ports)) == (2, 5)  # of the scheduler and the worker; with the nanny
    other = Security.temporary()
    for port in ports.keys() - pages:
        with pytest.raises(OSError, match=r"closed|timed out|did not"):
            asyncio.run(greet(f"tcp://127.0.0.1:{port}"))
        with pytest.raises(OSError, match="certificate does not match"):
            asyncio.run(greet(f"tls://127.0.0.1:{port}", **other.get_connection_args("client")))
        nothing = ssl.create_default_context()
        nothing.check_hostname, nothing.verify_mode = False, ssl.CERT_NONE
        with pytest.raises(OSError, match="certificate required"):
            knock(port, nothing)


def is_web(port: int) -> bool:
    """Return whether a port speaks HTTP, if only to say that there is no such page."""
    for page in ("status", "json/identity.json", "metrics", "health"):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=5)
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
        except OSError:
            return False
        else:
            pytest.fail(f"port {port} shows {page}")
    return True


async def greet(address: str, **options: Any) -> None:
    """Connect as Dask does."""
    comm = await connect(address, timeout=5, **options)
    await comm.close()


def knock(port: int, context: ssl.SSLContext) -> None:
    """Connect with TLS; it is the first answer that says whether one may stay."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        context.wrap_socket(plain) as connection,
    ):
        connection.recv(1)


def test_the_key_is_in_no_command_line_variable_or_file(
    command: tuple[psutil.Process, Path],
) -> None:
    """While the processes start, it is in files of a folder that is closed to others.

    Another folder has the socket by which workers are forked.
    """
    process, temporary = command
    for each in [process, *process.children(recursive=True)]:
        assert not any(KEY in text for text in (*each.cmdline(), *each.environ().values()))
    folders = sorted(temporary.iterdir())
    assert [folder.name.split("-")[0] for folder in folders] == ["dropout", "pymp"]
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}
    files = [path for path in temporary.rglob("*") if path.is_file()]
    assert not any(KEY.encode() in path.read_bytes() for path in files)


def test_nobody_else_can_enter_the_folder_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is Dask that writes the key there, for OpenSSL to read."""
    modes: list[int] = []

    def load(context: ssl.SSLContext, certificate: str, key: str) -> None:
        modes.extend(stat.S_IMODE(Path(file).parent.stat().st_mode) for file in (certificate, key))

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", load)
    Security.temporary().get_listen_args("worker")
    assert modes == [0o700, 0o700]
