"""Imports run one way, files stay small, and the project speaks of itself alone."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "dropout_lab"
LINES = [
    {"errors", "variant", "devices", "printable"},
    {"catalogue", "files", "rng"},
    {"datasets"},
    {"layers", "config", "data"},
    {"p_schedules", "lr_schedules", "update_rules", "normalization"},
    {"model", "optimizer", "metrics", "results", "probabilities", "plugins", "checks"},
    {"training"},
    {"folder"},
    {"study", "analysis"},
    {"cluster", "report", "lessons"},
    {"cli", "api"},
]
LINE_OF = {name: line for line, names in enumerate(LINES) for name in names}


def imported_parts(source: str) -> set[str]:
    """Return the parts of this package that a source text imports, wherever in the text."""
    modules = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {m.split(".")[1] for m in modules if m.startswith("dropout_lab.")}


def test_imports_run_downwards() -> None:
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        part = path.relative_to(PACKAGE).with_suffix("").parts[0]
        if part.startswith("__"):
            continue  # the package's front door, __init__ and __main__, sees every part
        for other in imported_parts(path.read_text()) - {part, "__version__"}:
            if LINE_OF[other] >= LINE_OF[part]:
                wrong.append(f"{path.relative_to(PACKAGE)} imports {other}, which is not below it")
    assert not wrong, "\n".join(wrong)


def test_only_cluster_imports_dask() -> None:
    importing = re.compile(r"^\s*(?:import|from) (?:dask|distributed)\b", re.MULTILINE)
    found = {
        path.relative_to(PACKAGE).parts[0]
        for path in PACKAGE.rglob("*.py")
        if importing.search(path.read_text())
    }
    assert found == {"cluster"}


def functions(tree: ast.AST) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT))
)
def test_files_and_functions_stay_small(path: Path) -> None:
    source = path.read_text()
    assert len(source.splitlines()) <= 400
    for function in functions(ast.parse(source)):
        lines = (function.end_lineno or 0) - function.lineno + 1
        assert lines <= 60, f"{function.name} has {lines} lines"


def test_neither_data_nor_weights_are_tracked() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert not [name for name in tracked if name.endswith((".pt", ".npz", ".gz", "ubyte"))]
    stray = [
        n for n in tracked if n.startswith("results/") and "/" in n[8:] and "reference/" not in n
    ]
    assert not stray


WRITES = {
    "write_text", "write_bytes", "unlink", "rmdir", "mkdir", "rename", "touch",
    "symlink_to", "hardlink_to", "rmtree", "copyfile", "copytree", "truncate",
    "to_csv", "savetxt", "dump",
}  # fmt: skip

WRITING = re.compile(r"[rbt]*[wax+][rbt+]*")


def writes(source: str) -> list[str]:
    """Return the calls in a source text that change files by other means than ours."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        modes = [
            a.value
            for a in (*node.args, *(k.value for k in node.keywords))
            if isinstance(a, ast.Constant)
        ]
        opened = name == "open" and any(isinstance(m, str) and WRITING.fullmatch(m) for m in modes)
        if name in WRITES or opened:
            found.append(f"{name} in line {node.lineno}")
    return found


def test_every_file_of_a_study_is_written_in_one_place() -> None:
    """Downloaded data sets are not a study's; they are unpacked by torchvision."""
    assert len(writes("a.open('w'); b.unlink(); open(c, mode='ab'); open('w.txt').read()")) == 3
    assert not writes("a.open('rb'); files.replace_file(b, 'w'); text.replace('a', 'b')")
    wrong = {
        str(path.relative_to(PACKAGE)): calls
        for path in sorted(PACKAGE.rglob("*.py"))
        if path != PACKAGE / "files.py" and path.parent != PACKAGE / "data"
        if (calls := writes(path.read_text()))
    }
    assert not wrong
