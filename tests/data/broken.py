"""Files of a user that are broken, each in its own way."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

CSV = "height,color,weight,kind\n1.5,red,10,cat\n2,blue,20,dog\n2.5,red,,dog\n3,blue,40,cat\n"


def raw_npz(**members: bytes) -> bytes:
    """Return an archive with these members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return file.getvalue()


def encrypted_npz() -> bytes:
    """Return an archive whose flags say that its members need a password."""
    content = raw_npz(**{"x.npy": b"", "y.npy": b""})
    for begin in (b"PK\3\4\x14\0", b"PK\1\2\x14\3\x14\0"):
        content = content.replace(begin + b"\0", begin + b"\1")
    return content


def corrupt_npz() -> bytes:
    """Return an archive whose compressed array x has a wrong byte."""
    file = io.BytesIO()
    np.savez_compressed(file, x=np.arange(360.0).reshape(9, 40), y=np.arange(9))
    content = bytearray(file.getvalue())
    content[300] ^= 0xFF
    return bytes(content)


# The content, what is given besides the path, and what the message says.
X, Y = np.ones((9, 2)), np.arange(9) % 3
BROKEN: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no file": (None, {}, "No such file.*Correct dataset.path"),
    "unknown ending": ("1,2", {"name": "t.txt"}, "no known ending"),
    "empty": ("", {}, "is empty"),
    "header only": ("a,kind\n", {}, "no row below its header"),
    "no header": ("1,2\n3,4\n", {}, ":1: the first line has only numbers"),
    "not text": (b"a,kind\n1,2\n\xff\xfe,3\n", {}, ":3: this line is not UTF-8"),
    "twice": ("a,a,kind\n1,2,x\n", {}, "two columns are called 'a'"),
    "no name": ("a,,kind\n1,2,x\n", {}, "a column has no name"),
    "ragged": ("a,kind\n1,x\n1,2,3,4\n", {}, "line 3"),
    "no target": (CSV, {"target": None}, "write dataset.target.*target: kind"),
    "another target": (CSV, {"target": "kinds"}, "Did you mean 'kind'"),
    "only a target": ("kind\nx\ny\n", {}, "no column besides"),
    "missing": (CSV, {"missing": None}, "row 3, column weight.*missing.*dataset.missing: mean"),
    "missing text": ("c,kind\nred,x\n,y\nblue,x\n", {}, "row 2, column c.*no mean"),
    "missing column": ("a,b,kind\n,1,x\n,2,y\n", {}, "column a.*no entry at all"),
    "missing label": ("a,kind\n1,x\n2,\n", {}, "row 2, column kind: the label is missing"),
    "one word": ("a,kind\n1,x\n2,y\nn/k,x\n4,y\n", {}, "row 3, column a: 'n/k' is no number"),
    "infinite": ("a,kind\n1,x\n1e60,y\n", {}, "row 2, column a: 1e60 is infinite"),
    "names of rows": ("id,kind\n" + "".join(f"p{i},{i % 2}\n" for i in range(200)), {},
                      "column id has 200 different texts"),
    "numbers to predict": ("a,kind\n" + "".join(f"1,{i / 7}\n" for i in range(9)), {},
                           "row 2, column kind.*bin a continuous target"),
    "one class": ("a,kind\n1,x\n2,x\n3,x\n", {}, "all labels are x"),
    "no test size": (CSV, {"test_size": None}, "write dataset.test_size"),
    "large test": (CSV, {"test_size": 3}, "give 2 to 2"),
    "no archive": (b"PK\3\4 and no more", {"name": "t.npz"}, "t.npz is damaged"),
    "lacks": ({"x_train": X, "y_train": Y}, {}, "lacks x_test, y_test"),
    "pickle": ({"x": X, "y": np.array([None] * 9)}, {}, "y is an array of Python objects"),
    "flat": ({"x": X[:, 0], "y": Y}, {}, r"x has shape \(9,\); expected \(examples, features\)"),
    "text features": ({"x": X.astype(str), "y": Y}, {}, "x has entries of type <U"),
    "lengths": ({"x": X, "y": Y[:8]}, {}, "x has 9 examples, but y has 8"),
    "one-hot": ({"x": X, "y": np.eye(3)[Y]}, {}, "one-hot labels, save y.argmax"),
    "fractions": ({"x": X, "y": Y + 0.5}, {}, r"y\[0\] is 0.5"),
    "not a number": ({"x": np.where(X * Y[:, None] > 1, np.nan, X), "y": Y}, {"missing": None},
                     r"x\[2\]\[0\] is missing \(6 in all\)"),
    "beyond": ({"x": X * 1e300, "y": Y}, {}, r"x\[0\]\[0\] is infinite or beyond"),
    "shapes": ({"x_train": X, "y_train": Y, "x_test": X[:, :1], "y_test": Y}, {"test_size": None},
               r"x_train have shape \(2,\), of x_test \(1,\)"),
    "new classes": ({"x_train": X, "y_train": Y, "x_test": X, "y_test": Y + 1},
                    {"test_size": None}, "labels that y_train lacks: 3"),
    "two tests": ({"x_train": X, "y_train": Y, "x_test": X, "y_test": Y}, {},
                  "has a test set of 9: remove dataset.test_size"),
    "kinds": ({"x_train": X, "y_train": Y, "x_test": X, "y_test": Y.astype(str)},
              {"test_size": None}, "one has text, the other numbers"),
    "no column": ({"x": X, "y": Y}, {"target": "kind"}, "is no table"),
    "not a member": (raw_npz(x=b"1 2"), {"name": "t.npz"}, r"lacks.*it has x \(no .npy file\)"),
    "no array": (raw_npz(**{"x.npy": b"1 2", "y.npy": b""}), {"name": "t.npz"},
                 "x is damaged.*np.savez"),
    "broken header": (raw_npz(**{"x.npy": b"\x93NUMPY\1\0\2\0(\n", "y.npy": b""}),
                      {"name": "t.npz"}, "x is damaged"),
    "encrypted": (encrypted_npz(), {"name": "t.npz"}, "x is damaged.*encrypted"),
    "corrupt": (corrupt_npz(), {"name": "t.npz"}, "x is damaged"),
    "x and x_test": ({"x": X, "y": Y, "x_test": X, "y_test": Y}, {}, "but also x_test, y_test"),
    "huge labels": ({"x": X, "y": Y * 1e300}, {}, r"y\[1\] is 1e\+300"),
    "beyond int64": ({"x": X, "y": Y.astype(np.uint64) + np.uint64(2**63)}, {}, "below 2..63"),
    "blank bytes": ({"x": X, "y": np.array([b"", b"a", b"b"] * 3)}, {}, r"y\[0\] is empty"),
    "dark pixels": ({"x": np.eye(9, dtype=np.uint8), "y": Y}, {}, "x has only 0 and 1.*255"),
    "too few": ({"x": X, "y": np.arange(9)}, {}, "9 examples in 9 classes are too few"),
    "more entries": ("a,kind\n1,x,9\n2,y,9\n", {}, "names 2 columns, but row 1 has 3 entries"),
    "fewer entries": ("a,b,kind\n1,x\n2,y\n", {}, "names 3 columns, but row 1 has 2 entries"),
    "an index": ("\ta\tkind\n0\t1\tx\n1\t2\ty\n", {},
                 "the first column has no name.*index=False"),
    "a comment": ("# mine\na,kind\n1,x\n2,y\n", {}, "names 1 column, but row 1 has 2 entries"),
    "a NUL": ("a,kind\n1,x\n\0,y\n", {}, ":3: this line is not UTF-8"),
    "UTF-16": ("a,kind\n1,x\n2,y\n".encode("utf-16"), {}, ":1: this line is not UTF-8"),
    "decimal comma": ("a;kind\n1,5;x\n2,5;y\n", {}, "numbers such as '1,5'; write digits"),
    "per cent": ("a,kind\n1%,x\n20 %,y\n", {}, "column a has numbers such as '1%'"),
    "infinite label": ("a,kind\n1,inf\n2,1\n3,0\n", {}, "row 1, column kind: the label is inf"),
    "open quote": ('a,kind\n1,"x\n2,y\n', {}, "cannot be read as a table"),
    "long name": ("a" * 200_000 + ",kind\n1,x\n", {}, "cannot be read as a table: field larger"),
}  # fmt: skip


def write_broken(folder: Path, kind: str) -> tuple[Path, dict[str, Any]]:
    """Write a broken file; return its path, and the other arguments of ``Reading``."""
    content, options, _ = BROKEN[kind]
    is_table = not isinstance(content, dict)
    path = folder / options.get("name", "t.csv" if is_table else "t.npz")
    if isinstance(content, dict):
        np.savez(path, **content)
    elif content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    given = {"target": "kind" if path.suffix == ".csv" else None, "test_size": 3, "missing": "mean"}
    if is_table:
        given["test_size"] = 2
    return path, given | {key: value for key, value in options.items() if key != "name"}
