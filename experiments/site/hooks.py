"""What `mkdocs build` calls: it adds the reference, and the files outside of docs that pages link to."""

import pathlib
import re
from typing import Any

from experiments.site import reference

ROOT = pathlib.Path(__file__).parents[2]
OUTSIDE = ("BUILD_NOTES.md", "experiments/results/environments.json")  # what pages of docs link to by ../


def on_config(config: Any) -> Any:
    """Adds the reference's pages at the end of the navigation."""
    titles = [{reference.short(each.__name__): reference.path_of(each)} for each in reference.modules()]
    config.nav.append({"Reference": [f"{reference.FOLDER}/index.md", *titles]})
    return config


def on_files(files: Any, config: Any) -> Any:
    """Adds files that are not in docs: in the site they lie where docs is the root."""
    from mkdocs.structure.files import File

    for path, text in reference.pages().items():
        files.append(File.generated(config, path, content=text))
    for path in OUTSIDE:
        files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Leads links between docs and what is outside of it to where the site has both."""
    return within_site(markdown, page.file.src_uri)


def within_site(markdown: str, path: str) -> str:
    """The page's text with its links as the site has them.

    >>> within_site("[notes](../BUILD_NOTES.md#speed)", "results.md")
    '[notes](BUILD_NOTES.md#speed)'
    >>> within_site("[results](docs/results.md)", "BUILD_NOTES.md")
    '[results](results.md)'
    """
    folder = "docs/" if path in OUTSIDE else "../"
    return re.sub(rf"\]\({re.escape(folder)}", "](", markdown)
