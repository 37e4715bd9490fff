"""What griffe, which reads docstrings for the reference, makes of them. It needs the extra `docs`."""

from typing import Any

import griffe

from experiments.site.reference import as_markdown


class Examples(griffe.Extension):
    """Hands docstrings on as Markdown."""

    def on_instance(self, *, obj: Any, **arguments: Any) -> None:
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)
