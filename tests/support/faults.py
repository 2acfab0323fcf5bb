"""A fault at a call: notes from where some code calls what, and raises at one of these places, every time."""

import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

import pytest

Site = tuple[CodeType, int, CodeType]  # who calls, from which line, whom


class Fault(Exception):  # noqa: N818 - what it is
    """What is raised at a call."""


class Faults:
    """
    Faults in calls that modules, or the modules of packages, make; at none of them, or at one, every time.

    `guards` are functions that keep faults apart from the line: what they call outside is not at fault, nor is anything
    that `spared` modules call or that calls them.
    """

    def __init__(
        self, where: Sequence[ModuleType], guards: Collection[CodeType] = (), spared: Sequence[ModuleType] = (),
        at: Site | None = None,
    ) -> None:  # fmt: skip
        self.sites: dict[Site, None] = {}
        self._places = tuple(map(_place, where))
        self._guards, self._spared, self._at = guards, tuple(map(_place, spared)), at

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        """Take one event of the interpreter."""
        caller = frame.f_back
        if event != "call" or caller is None or not caller.f_code.co_filename.startswith(self._places):
            return
        own = frame.f_code.co_filename.startswith(self._places)
        files = caller.f_code.co_filename, frame.f_code.co_filename
        if (caller.f_code in self._guards and not own) or any(file.startswith(self._spared) for file in files):
            return
        site = (caller.f_code, caller.f_lineno, frame.f_code)
        self.sites[site] = None
        if site == self._at:
            raise Fault(f"in {frame.f_code.co_qualname}, called by {caller.f_code.co_qualname}")

    @contextmanager
    def injected(self) -> Iterator[None]:
        """Let what this thread calls in the block raise."""
        sys.setprofile(self)
        try:
            yield
        finally:
            sys.setprofile(None)

    @contextmanager
    def inside(self, monkeypatch: pytest.MonkeyPatch, owner: type, *names: str) -> Iterator[None]:
        """Let these methods raise while the block runs, and nothing else."""

        def wrapped(method: Callable[..., Any]) -> Callable[..., Any]:
            def called(*arguments: Any, **named: Any) -> Any:
                with self.injected():
                    return method(*arguments, **named)

            return called

        with monkeypatch.context() as patch:
            for name in names:
                patch.setattr(owner, name, wrapped(getattr(owner, name)))
            yield


def _place(module: ModuleType) -> str:
    """Give the beginning of the file names of a module, or of a package's modules."""
    path = Path(module.__file__ or "")
    return str(path.parent) if path.name == "__init__.py" else str(path)
