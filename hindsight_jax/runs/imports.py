"""Imports a user's own modules, which register algorithms and tasks: --import names them, config.json records them.

A run that is resumed or loaded imports them again, before its name is looked up.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

from hindsight_jax import checks, fields

_imported: dict[str, None] = {}  # in the order of their first import; global, as Python's imports are


def import_modules(names: Any) -> None:
    """Imports modules by dotted name; the current folder comes first on sys.path, as `python -m` has it.

    Raises ValueError: not a list of names, or a module that cannot be imported, with its own error.

    >>> import_modules(["json"]); imported()[-1]
    'json'
    """
    if not isinstance(names, Sequence) or isinstance(names, str):
        checks.fail("imports", fields.short(names), "it must be a list of module names", 'For example ["my_module"].')
    if names and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    for name in names:
        if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")):
            checks.fail("import", fields.short(name), "it must be the dotted name of a module", "Write --import=NAME.")
        try:
            importlib.import_module(name)
        except Exception as error:  # a module may raise any
            why = f"{type(error).__name__}: {error}".split("\n")[0]
            remedy = f'Its own error; python -c "import {name}" shows where.'
            if isinstance(error, ModuleNotFoundError) and name.startswith(str(error.name)):
                remedy = "Start in the folder that holds it, or put that on PYTHONPATH."
            checks.fail("import", fields.short(name), f"it cannot be imported ({why})", remedy)
        _imported[name] = None


def imported() -> list[str]:
    """Lists the modules that `import_modules` has imported in this process."""
    return list(_imported)
