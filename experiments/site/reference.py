"""Lists the public names of the package, and writes a page of the reference for each of its modules.

A page holds directives of mkdocstrings, `::: path.of.name`, which the build replaces by signatures and docstrings.
"""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from types import ModuleType

import hindsight_jax

_ADAPTERS = ("export", "gymnasium", "gymnasium_task")
EXTRAS = tuple(f"hindsight_jax.interop.{name}" for name in _ADAPTERS)  # the index does not import these
FOLDER = "reference"


def pages() -> dict[str, str]:
    """Path below docs -> text, of the index and of each public module."""
    return {f"{FOLDER}/index.md": _index(), **{path_of(module): _page(module) for module in modules()}}


def modules() -> list[ModuleType]:
    """The modules that the package's index names, and the adapters."""
    found = [getattr(hindsight_jax, name) for name in hindsight_jax.__all__]
    return [each for each in found if isinstance(each, ModuleType)] + [*map(importlib.import_module, EXTRAS)]


def path_of(module: ModuleType) -> str:
    """The path of a module's page below docs."""
    return f"{FOLDER}/{short(module.__name__)}.md"


def short(path: str) -> str:
    """`hindsight_jax.losses.hdm` without its first part."""
    return path.removeprefix("hindsight_jax.")


def public(module: ModuleType) -> dict[str, str]:
    """Public name -> the path of its definition, of a module's functions and classes."""
    names = getattr(module, "__all__", None) or [name for name, _ in _defined(module)]
    return {name: f"{getattr(module, name).__module__}.{name}" for name in names if _is_code(getattr(module, name))}


def constants(module: ModuleType) -> list[str]:
    """Names in `__all__` that are neither functions nor classes."""
    return [name for name in getattr(module, "__all__", ()) if not _is_code(getattr(module, name))]


def below(module: ModuleType) -> dict[str, dict[str, str]]:
    """Submodule -> public name -> path, of what the submodules of a package define beside its public names."""
    known, found = set(public(module).values()), {}
    for part in pkgutil.iter_modules(getattr(module, "__path__", ())):
        if not part.name.startswith("_"):
            child = importlib.import_module(f"{module.__name__}.{part.name}")
            own = {name: path for name, path in public(child).items() if path not in known}
            found |= {child.__name__: own} if own else {}
    return found


def as_markdown(text: str) -> str:
    """The docstring as Markdown: its examples a section, and its stars, but for *emphasis*, characters.

    >>> as_markdown("f* of *one* f.\\n\\n>>> double(1)\\n2").splitlines()
    ['f\\\\* of *one* f.', '', 'Examples:', '    >>> double(1)', '    2']
    """
    before, mark, examples = re.sub(r"(?m)^>>>", "\0>>>", text, count=1).partition("\0")
    star = r"(`[^`]*`|(?<![\w*])\*[\w ]+\*(?![\w*])|^ +\*+\w+:|^    .*$)|\*"
    before = re.sub(star, lambda found: found[1] or r"\*", before, flags=re.MULTILINE)
    return before + "Examples:\n" + re.sub(r"(?m)^(?=.)", "    ", examples) if mark else before


def _defined(module: ModuleType) -> Iterator[tuple[str, object]]:
    """(name, object) of the public functions and classes whose definition stands in the module."""
    for name, found in vars(module).items():
        if _is_code(found) and not name.startswith("_") and found.__module__ == module.__name__ and found.__doc__:
            yield name, found


def _is_code(found: object) -> bool:
    return inspect.isclass(found) or inspect.isroutine(found)


def _index() -> str:
    rows = [f"| [`{short(m.__name__)}`]({short(m.__name__)}.md) | {_first_line(m)} |" for m in modules()]
    names = {name: getattr(hindsight_jax, name) for name in hindsight_jax.__all__}
    functions = [f"{found.__module__}.{name}" for name, found in names.items() if not isinstance(found, ModuleType)]
    parts = ["# Reference", "Every public name, from its docstring.", "\n".join(["| module | |", "|---|---|", *rows])]
    return "\n\n".join([*parts, *(f"::: {path}" for path in functions)]) + "\n"


def _page(module: ModuleType) -> str:
    parts = [f"# {short(module.__name__)}", _directive(module.__name__, root=False)]
    if others := constants(module):
        parts.append(f"Constants and types: {', '.join(f'`{name}`' for name in others)}.")
    parts += [_directive(path) for path in public(module).values()]
    for child, names in below(module).items():
        parts += [f"## {short(child)}", _directive(child, root=False)]
        parts += [_directive(path, level=3) for path in names.values()]
    return "\n\n".join(parts) + "\n"


def _directive(path: str, root: bool = True, level: int = 2) -> str:
    """A directive; without `root` it is the module's docstring alone. Of a name of another package, its path."""
    if not path.startswith("hindsight_jax."):
        return f"`{path.rpartition('.')[2]}` is `{path}`."
    options = (
        [f"heading_level: {level}"]
        if root
        else ["show_root_heading: false", "show_root_toc_entry: false", "members: false"]
    )
    return "\n".join([f"::: {path}", "    options:", *(f"      {option}" for option in options)])


def _first_line(module: ModuleType) -> str:
    return (module.__doc__ or "").strip().partition("\n")[0]
