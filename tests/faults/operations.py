"""Every file operation below a folder is seen, and the n-th of them goes wrong.

With ``Operations(folder, at=n, how="fail")`` for n = 1, 2, 3, ... until nothing goes wrong any
more, a program meets every failure of its disk that there is.
"""

import builtins
import errno
import io
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

How = Literal["count", "fail", "full", "gone", "die", "kill"]
Part = Literal["before", "half", "after"]

# What a full disk refuses: whatever needs a block or an entry more.
_GROWING = {"create", "write", "mkdir", "link", "open for writing"}
_ON_PATHS = ("replace", "rename", "unlink", "remove", "mkdir", "rmdir", "link")
_ON_HANDLES = ("write", "fsync", "ftruncate")
_TAKES_TWO = ("replace", "rename", "link")


class Died(BaseException):  # no error of the program's: nothing may catch it
    """The process is dead from here on: no operation after it has any effect."""


@dataclass(frozen=True)
class Operation:
    """One that was seen: what was done, and to which file."""

    name: str
    path: str

    def __str__(self) -> str:
        return f"{self.name} {self.path}"


class Operations:
    """While active, sees the file operations below a folder; the n-th goes wrong.

    Seen are open, write, fsync, ftruncate, replace, rename, unlink, mkdir, rmdir and link of
    ``os``, on paths and on the handles opened there, and ``open`` for writing. Reading is not.

    Args:
        folder: What is seen lies in it, or is the folder itself.
        at: Which operation goes wrong, from 1.
        how: ``count`` lets everything pass. ``fail`` refuses the one operation; ``full`` refuses
            from there on what needs more of the disk, ``gone`` everything. ``die`` is the end of
            the process as far as its files go: from there on every operation raises, so that no
            clean-up has an effect. ``kill`` is SIGKILL: for a process of its own.
        part: Whether the operation is done, half done (a write of half of its bytes) or not done
            when that happens.
        code: The errno that ``fail`` raises.
    """

    def __init__(
        self,
        folder: Path,
        at: int = 0,
        how: How = "count",
        part: Part = "before",
        code: int = errno.ENOSPC,
    ) -> None:
        self.folder, self.at, self.how, self.part, self.code = folder, at, how, part, code
        self.seen: list[Operation] = []
        self._handles: dict[int, str] = {}
        self._true: dict[str, Callable[..., Any]] = {}

    @property
    def hit(self) -> Operation | None:
        """The operation that went wrong, if it came to that."""
        return self.seen[self.at - 1] if 0 < self.at <= len(self.seen) else None

    def __enter__(self) -> Self:
        names = ("open", "close", *_ON_PATHS, *_ON_HANDLES)
        self._true = {name: getattr(os, name) for name in names}
        self._true_open = builtins.open
        os.open, os.close = self._open, self._close
        for name in _ON_PATHS:
            setattr(os, name, self._on_path(name))
        for name in _ON_HANDLES:
            setattr(os, name, self._on_handle(name))
        builtins.open = io.open = self._open_file
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name, function in self._true.items():
            setattr(os, name, function)
        builtins.open = io.open = self._true_open

    def _below(self, path: Any) -> str | None:
        """Return a path relative to the folder; None if it lies elsewhere."""
        if isinstance(path, int):
            return self._handles.get(path)
        try:
            relative = os.path.relpath(os.fsdecode(path), self.folder)
        except TypeError:
            return None
        return None if relative.startswith("..") else relative

    def _open(self, path: Any, flags: int, *rest: Any, **more: Any) -> int:
        def do() -> int:
            return int(self._true["open"](path, flags, *rest, **more))

        below = self._below(path)
        if below is None:
            handle = do()
            self._handles.pop(handle, None)  # in case it is a number that was closed unseen
            return handle
        creates = flags & os.O_CREAT and not os.path.lexists(path)
        handle = int(self._pass(Operation("create" if creates else "open", below), do))
        self._handles[handle] = below
        return handle

    def _close(self, handle: int) -> None:
        self._handles.pop(handle, None)
        self._true["close"](handle)

    def _open_file(self, file: Any, mode: str = "r", *rest: Any, **more: Any) -> Any:
        below = None if isinstance(file, int) or not set("wax+") & set(mode) else self._below(file)

        def do() -> Any:
            return self._true_open(file, mode, *rest, **more)

        return do() if below is None else self._pass(Operation("open for writing", below), do)

    def _on_path(self, name: str) -> Callable[..., Any]:
        true = self._true[name]

        def operation(path: Any, *rest: Any, **more: Any) -> Any:
            def do() -> Any:
                return true(path, *rest, **more)

            below = self._below(rest[0] if name in _TAKES_TWO else path)
            return do() if below is None else self._pass(Operation(name, below), do)

        return operation

    def _on_handle(self, name: str) -> Callable[..., Any]:
        true = self._true[name]

        def operation(handle: int, *rest: Any) -> Any:
            def do() -> Any:
                return true(handle, *rest)

            def half() -> Any:
                return true(handle, bytes(rest[0])[: len(rest[0]) // 2])

            below = self._handles.get(handle)
            if below is None:
                return do()
            return self._pass(Operation(name, below), do, half if name == "write" else None)

        return operation

    def _pass(
        self, operation: Operation, do: Callable[[], Any], half: Callable[[], Any] | None = None
    ) -> Any:
        """Do an operation, or let it go wrong if its time has come."""
        self.seen.append(operation)
        number = len(self.seen)
        if self.how == "count" or number < self.at or (number > self.at and self.how == "fail"):
            return do()
        if self.how == "full" and operation.name not in _GROWING:
            return do()
        if number == self.at and self.part == "half" and half is not None:
            half()
        if number == self.at and self.part == "after":
            do()
        self._go_wrong()
        raise AssertionError("unreachable")

    def _go_wrong(self) -> None:
        if self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "die":
            raise Died(self.at)
        code = {"full": errno.ENOSPC, "gone": errno.EIO}.get(self.how, self.code)
        raise OSError(code, os.strerror(code))
