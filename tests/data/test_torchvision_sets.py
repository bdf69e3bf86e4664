"""EMNIST, QMNIST, USPS, CIFAR and SVHN, made small in the formats of their files."""

import bz2
import gzip
import io
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from hashlib import md5
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import savemat
from torchvision import datasets

from dropout_lab import data
from dropout_lab.datasets import DATASETS, is_downloaded, paths_of
from dropout_lab.errors import DataError

SIZES = {"train": 100, "test": 20}
EMNIST = ["emnist_balanced", "emnist_letters", "emnist_digits"]
IDX = [*EMNIST, "qmnist"]
CLASSES = ["usps", "cifar10", "cifar100", "svhn"]


def pixels(name: str, part: str) -> np.ndarray:
    """The images of a made data set, as they are to be read: ``(examples, *shape)``."""
    shape = (SIZES[part], *DATASETS[name].shape)
    generator = np.random.default_rng([len(name), SIZES[part]])
    return generator.integers(1, 256, shape, dtype=np.uint8)


def classes(name: str, part: str) -> np.ndarray:
    return np.arange(SIZES[part]) % DATASETS[name].classes


def idx(array: np.ndarray) -> bytes:
    kind = {"u": 0x0800, "i": 0x0C00}[array.dtype.kind] + array.ndim
    return struct.pack(f">{1 + array.ndim}i", kind, *array.shape) + array.tobytes()


@cache
def made_emnist() -> dict[str, bytes]:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in EMNIST:
            for part in SIZES:
                start = f"gzip/emnist-{name.partition('_')[2]}-{part}"
                images = pixels(name, part).transpose(0, 2, 1)
                labels = classes(name, part) + (name == "emnist_letters")
                for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
                    content = gzip.compress(idx(array.astype(np.uint8)))
                    archive.writestr(f"{start}-{kind}-ubyte.gz", content)
        archive.writestr("gzip/emnist-byclass-mapping.txt", "0 48")
    return {"gzip.zip": out.getvalue()}


@cache
def made_qmnist() -> dict[str, bytes]:
    files = {}
    for part, size in SIZES.items():
        table = np.random.default_rng(0).integers(0, 70_000, (size, 8)).astype(">i4")
        table[:, 0] = classes("qmnist", part)
        images = gzip.compress(idx(pixels("qmnist", part)))
        files[f"qmnist-{part}-images-idx3-ubyte.gz"] = images
        files[f"qmnist-{part}-labels-idx2-int.gz"] = gzip.compress(idx(table))
    return files


@cache
def made_usps() -> dict[str, bytes]:
    files = {}
    for part, name in (("train", "usps.bz2"), ("test", "usps.t.bz2")):
        rows = pixels("usps", part).reshape(-1, 256) / 127.5 - 1
        lines = [
            f"{label + 1} " + " ".join(f"{i}:{x:.6f}" for i, x in enumerate(row, start=1))
            for label, row in zip(classes("usps", part), rows, strict=True)
        ]
        files[name] = bz2.compress(("\n".join(lines) + "\n").encode())
    return files


def old_pickle(entry: object) -> bytes:
    """Pickle as the makers of CIFAR did: the type of an array has the numbers 0 and 1 as flags."""
    return pickle.dumps(entry, protocol=2).replace(b"\x89\x88\x87", b"K\x00K\x01\x87")


@cache
def made_cifar(name: str) -> dict[str, bytes]:
    folder = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}[name]
    key = {"cifar10": "labels", "cifar100": "fine_labels"}[name]
    batches = {"cifar10": [f"data_batch_{i}" for i in range(1, 6)], "cifar100": ["train"]}[name]
    entries: dict[str, Any] = {}
    last = {"cifar10": "test_batch", "cifar100": "test"}[name]
    for part, names in (("train", batches), ("test", [last])):
        images = pixels(name, part).transpose(0, 3, 1, 2).reshape(SIZES[part], -1)
        labels = classes(name, part)
        for index, batch in enumerate(names):
            here = slice(index * SIZES[part] // len(names), (index + 1) * SIZES[part] // len(names))
            entries[batch] = {"data": images[here].copy(), key: labels[here].tolist()}
    meta = {"cifar10": ("batches.meta", "label_names"), "cifar100": ("meta", "fine_label_names")}
    entries[meta[name][0]] = {meta[name][1]: ["a name"] * DATASETS[name].classes}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for file, entry in {**entries, "readme.html": "more"}.items():
            content = old_pickle(entry)
            member = tarfile.TarInfo(f"{folder}/{file}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return {f"{folder.replace('batches-py', 'python')}.tar.gz": out.getvalue()}


@cache
def made_svhn() -> dict[str, bytes]:
    files = {}
    for part in SIZES:
        labels = classes("svhn", part)
        out = io.BytesIO()
        content = {
            "X": pixels("svhn", part).transpose(1, 2, 3, 0),
            "y": np.where(labels == 0, 10, labels).astype(np.uint8)[:, None],
        }
        savemat(out, content, do_compression=True)
        files[f"{part}_32x32.mat"] = out.getvalue()
    return files


MADE: dict[str, Callable[[], dict[str, bytes]]] = {
    **dict.fromkeys(EMNIST, made_emnist),
    "qmnist": made_qmnist,
    "usps": made_usps,
    "cifar10": lambda: made_cifar("cifar10"),
    "cifar100": lambda: made_cifar("cifar100"),
    "svhn": made_svhn,
}


def digest(content: bytes) -> str:
    return md5(content).hexdigest()


def publish(monkeypatch: pytest.MonkeyPatch, name: str, files: dict[str, bytes], url: str) -> None:
    """Let torchvision's class name these files, their address and their MD5 as published."""
    source: Any = getattr(datasets, DATASETS[name].path)
    if name in EMNIST:
        monkeypatch.setattr(source, "url", f"{url}gzip.zip")
        monkeypatch.setattr(source, "md5", digest(files["gzip.zip"]))
    elif name == "qmnist":
        resources = {
            part: [(f"{url}{file}", digest(files[file])) for file in files if part in file]
            for part in SIZES
        }
        monkeypatch.setattr(source, "resources", resources)
    elif name in ("usps", "svhn"):
        parts = zip(SIZES, files.items(), strict=True)
        split_list = {part: [f"{url}{file}", file, digest(c)] for part, (file, c) in parts}
        monkeypatch.setattr(source, "split_list", split_list)
    else:
        (content,) = files.values()
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            inside = {
                Path(each.name).name: digest(archive.extractfile(each).read()) for each in archive
            }
        monkeypatch.setattr(source, "url", f"{url}{source.filename}")
        monkeypatch.setattr(source, "tgz_md5", digest(content))
        for kind in ("train_list", "test_list"):
            lists = [[file, inside[file]] for file, _ in getattr(source, kind)]
            monkeypatch.setattr(source, kind, lists)
        meta = {**source.meta, "md5": inside[source.meta["filename"]]}
        monkeypatch.setattr(source, "meta", meta)


@pytest.fixture(params=[*IDX, *CLASSES])
def name(
    request: pytest.FixtureRequest, server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> str:
    """A data set of 100 + 20 images on a server, and nowhere else."""
    chosen: str = request.param
    for each in DATASETS:
        if DATASETS[each].path == DATASETS[chosen].path:
            small = replace(DATASETS[each], **SIZES)
            monkeypatch.setitem(DATASETS, each, small)
    url, served = server
    files = MADE[chosen]()
    for file, content in files.items():
        (served / file).write_bytes(content)
    publish(monkeypatch, chosen, files, url)
    return chosen


def fetched(name: str, folder: Path) -> tuple[data.Examples, data.Examples]:
    data.fetch(name, folder, lambda line: None)
    return data.load_examples(name, folder)


def theirs(name: str, folder: Path, *, train: bool) -> Any:
    """The data set as torchvision reads it from the same folder."""
    source: Any = getattr(datasets, DATASETS[name].path)
    if name in EMNIST:
        return source(folder, name.partition("_")[2], train=train)
    if name == "svhn":
        return source(folder, "train" if train else "test")
    return source(folder, train=train)


def test_it_is_downloaded_and_read_as_torchvision_reads_it(name: str, tmp_path: Path) -> None:
    """Against torchvision's own class, and against the arrays from which the files were made."""
    folder = tmp_path / "data"
    training, test = fetched(name, folder)
    for part, ours in (("train", training), ("test", test)):
        assert ours.images.dtype == torch.uint8
        assert ours.labels.tolist() == classes(name, part).tolist()
        if name != "usps":  # written with six decimals, and rounded down by torchvision
            assert (ours.images.numpy() == pixels(name, part).reshape(len(ours), -1)).all()
        reference = theirs(name, folder, train=part == "train")
        for index in (0, 7):
            image, label = reference[index]
            image = np.asarray(image)
            if (
                name in EMNIST
            ):  # torchvision leaves the images and the labels as the files have them
                image, label = image.T, label - (name == "emnist_letters")
            shown = ours.images[index].reshape(DATASETS[name].shape)
            np.testing.assert_array_equal(shown.numpy(), image)
            assert int(ours.labels[index]) == label
    left = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    wanted = paths_of(DATASETS[name], folder)
    if name in EMNIST:  # one download serves three data sets
        wanted = [path for each in EMNIST for path in paths_of(DATASETS[each], folder)]
    lock = f"{DATASETS[name].folder}/.fetch.lock".lstrip("/")
    assert left == {path.relative_to(folder).as_posix() for path in wanted} | {lock}


def test_without_the_server_packed_files_in_the_folder_are_unpacked(
    name: str, tmp_path: Path, server: tuple[str, Path], no_network: None
) -> None:
    folder = tmp_path / "data"
    place = folder / DATASETS[name].folder
    place.mkdir(parents=True)
    for file in server[1].iterdir():
        (place / file.name).write_bytes(file.read_bytes())
    assert [len(part) for part in fetched(name, folder)] == [100, 20]


def test_absent_and_offline_the_error_names_the_files(
    name: str, tmp_path: Path, no_network: None
) -> None:
    folder = tmp_path / "data"
    with pytest.raises(DataError) as caught:
        data.fetch(name, folder, lambda line: None)
    for file in DATASETS[name].files:
        assert file in str(caught.value)
    assert "Offline: copy the " in str(caught.value)
    with pytest.raises(DataError, match="cannot be read: No such file"):
        data.load_examples(name, folder)


def test_a_damaged_file_is_refused_by_name_and_never_unpickled(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data"
    fetched(name, folder)

    def opened(*args: object, **kwargs: object) -> None:
        raise AssertionError("a pickle was opened")

    monkeypatch.setattr("pickle.load", opened)
    for path in paths_of(DATASETS[name], folder):
        content = path.read_bytes()
        for wrong in (content[:-1], b"", content + b"\0", b"<html>"):
            path.write_bytes(wrong)
            assert is_downloaded(name, folder)
            data.fetch(name, folder, lambda line: None)  # leaves the user's files alone
            assert path.read_bytes() == wrong
            with pytest.raises(DataError) as caught:
                data.load_examples(name, folder)
            assert str(path) in str(caught.value)
            assert f"Remove the file and run: dropout-lab data fetch {name} --data-dir" in str(
                caught.value
            )
        path.write_bytes(content)


class _Harmful:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return (Path.write_text, (self.path, "code has run"))


@pytest.mark.parametrize("name", ["cifar10", "cifar100"], indirect=True)
def test_a_pickle_that_runs_code_is_not_opened(name: str, tmp_path: Path) -> None:
    folder, trace = tmp_path / "data", tmp_path / "trace"
    fetched(name, folder)
    harmful = pickle.dumps(_Harmful(trace))
    pickle.loads(harmful)
    assert trace.read_text() == "code has run"
    trace.unlink()
    for path in paths_of(DATASETS[name], folder):
        content = path.read_bytes()
        path.write_bytes(harmful)
        with pytest.raises(DataError, match="It was not opened"):
            data.load_examples(name, folder)
        path.write_bytes(content)
    assert not trace.exists()


def test_files_of_another_size_are_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data"
    fetched(name, folder)
    right = DATASETS[name]
    for wrong in ({"train": 101}, {"test": 19}, {"classes": 3}):
        monkeypatch.setitem(DATASETS, name, replace(right, **wrong))
        with pytest.raises(DataError, match=r"expected|labels are"):
            data.load_examples(name, folder)


def test_a_damaged_download_is_not_kept(
    name: str, tmp_path: Path, server: tuple[str, Path]
) -> None:
    for file in server[1].iterdir():
        file.write_bytes(file.read_bytes()[:-1] + b"\xff")
    with pytest.raises(DataError, match="could not be downloaded"):
        data.fetch(name, tmp_path / "data", lambda line: None)
    left = {path.name for path in (tmp_path / "data").rglob("*") if path.is_file()}
    assert left == {".fetch.lock"}


def test_a_packed_file_that_lacks_a_file_is_named(
    server: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz"):
        pass
    (server[1] / "cifar-100-python.tar.gz").write_bytes(out.getvalue())
    monkeypatch.setattr(datasets.CIFAR100, "url", f"{server[0]}cifar-100-python.tar.gz")
    monkeypatch.setattr(datasets.CIFAR100, "tgz_md5", digest(out.getvalue()))
    with pytest.raises(DataError, match="lacks cifar-100-python/meta, cifar-100-python/test"):
        data.fetch("cifar100", tmp_path / "data", lambda line: None)


@pytest.mark.parametrize("name", ["emnist_letters"], indirect=True)
def test_a_label_before_the_first_class_is_refused(name: str, tmp_path: Path) -> None:
    fetched(name, tmp_path)
    labels = paths_of(DATASETS[name], tmp_path)[1]
    labels.write_bytes(labels.read_bytes()[:-1] + b"\0")
    with pytest.raises(DataError, match=r"labels-idx1-ubyte holds the label 0; labels are 1 to 26"):
        data.load_examples(name, tmp_path)


def test_the_catalogue_has_the_files_and_classes_of_torchvision() -> None:
    """Against the installed torchvision: its lists of files, and of classes where it has one."""
    for name in ("cifar10", "cifar100"):
        source: Any = getattr(datasets, DATASETS[name].path)
        files = [file for file, _ in (*source.train_list, *source.test_list)]
        files.append(source.meta["filename"])
        assert DATASETS[name].files == tuple(f"{source.base_folder}/{file}" for file in files)
    for name in ("usps", "svhn"):
        split_list = getattr(datasets, DATASETS[name].path).split_list
        assert DATASETS[name].files == tuple(split_list[part][1] for part in SIZES)
    resources = [file for part in SIZES for file, _ in datasets.QMNIST.resources[part]]
    assert DATASETS["qmnist"].files == tuple(Path(file).stem for file in resources)
    assert len(datasets.QMNIST.classes) == DATASETS["qmnist"].classes
    for name in EMNIST:
        names = datasets.EMNIST.classes_split_dict[name.partition("_")[2]]
        first = DATASETS[name].first_label
        assert names[:first] == ["N/A"] * first
        assert len(names) == DATASETS[name].classes + first
