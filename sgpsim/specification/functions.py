"""Functions by name: what `module:function` in a file stands for, and when it is imported.

The rule: a name is imported where a run is started from a file that the user named, and nowhere else. Reading a stored
run imports nothing: the name stays a FunctionName. A module is looked for where Python looks, and then beside the file.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from pathlib import Path
from typing import Any, Literal, NoReturn

from sgpsim.errors import SpecificationError, shown

Consent = Literal["import", "name", "refuse"]
"""What to do about names of functions: import them, keep the names, or refuse what holds one."""


class FunctionName:
    """A function that was not imported: prints as its name, and refuses to be called."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FunctionName) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        raise refusal(self.name)


def refusal(name: str) -> SpecificationError:
    """What is said where the function `name` would have to be imported without consent."""
    return SpecificationError(
        f"{shown(name)} names code of whoever wrote this, which is imported only where you agree. Add --trust, or"
        " in Python trust=True, if you trust the writer."
    )


def named_function(name: str, consent: Consent, beside: Path | None = None) -> Any:
    """The function that `module:function` names, or its FunctionName, as `consent` says. Raises SpecificationError
    where it is no such name, cannot be imported, or is refused.

    beside: the folder of the file that says so, from where on modules are imported too, last of all places."""
    rule = "it must be such as 'my_models:perceptron', a function in a module that can be imported."
    if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*", name):
        raise SpecificationError(f"{shown(name)} names no function; {rule}")
    if consent == "refuse":
        raise refusal(name)
    if consent == "name":
        return FunctionName(name)
    if beside is not None and (folder := str(beside.resolve())) not in sys.path:
        sys.path.append(folder)  # for good: functions import when they run, and a launch hands the path to its processes
    try:
        function = imported(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever the module does, sys.exit() among it
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        cure = " Put that module beside the file, or its folder on PYTHONPATH." if _is_missing(error, name) else ""
        raise SpecificationError(f"{shown(name)} names no function ({reason}); {rule}{cure}") from None
    if not callable(function):
        raise SpecificationError(f"{shown(name)} names {shown(function)}, which is no function; {rule}")
    if beside is not None:
        _require_the_one_beside(name, beside)
    return function


def _is_missing(error: BaseException, name: str) -> bool:
    """Whether it is the named module that is missing, and not one that it imports."""
    module = name.partition(":")[0]
    return isinstance(error, ModuleNotFoundError) and error.name is not None and f"{module}.".startswith(f"{error.name}.")


def _require_the_one_beside(name: str, folder: Path) -> None:
    """Raise SpecificationError where a module of the name lies beside the file and another one was imported, from a place
    that comes earlier or for a file read before: whoever wrote the one beside means that one."""
    package = re.split("[.:]", name)[0]
    taken = getattr(sys.modules.get(package), "__file__", None)
    for own in (folder / package / "__init__.py", folder / f"{package}.py"):
        if own.is_file():
            if taken is None or not os.path.exists(taken) or not os.path.samefile(taken, own):
                raise SpecificationError(
                    f"{shown(name)} is imported from {shown(taken)}, and another {own.name} lies beside the file; it must be"
                    " clear which is meant. Rename the one beside the file."
                )
            return


def imported(name: str) -> Any:
    """What `module:name` names; whatever an import or a look at an attribute raises."""
    module, _, inside = name.partition(":")
    value = importlib.import_module(module)
    for part in inside.split("."):
        value = getattr(value, part)
    return value
