"""What the reference lists: all that is public, from where it is defined."""

import pytest

from experiments.site import hooks, reference
from hindsight_jax import envs, losses, statistics


def test_a_package_lists_what_it_exports_and_then_what_its_modules_define_beside():
    names = reference.public(losses)
    assert set(names) | {"DIVERGENCES"} == set(losses.__all__)
    assert names["hdm"] == "hindsight_jax.losses.hdm.hdm"
    assert reference.constants(losses) == ["DIVERGENCES"]
    assert reference.below(losses) == {}


def test_a_module_lists_what_it_defines():
    names = reference.public(statistics)
    assert "interval" in names
    assert [path for path in names.values() if not path.startswith("hindsight_jax.statistics.")] == []
    assert reference.below(statistics) == {}


def test_a_name_of_another_package_is_a_path_and_no_directive():
    pytest.importorskip("gymnasium")  # which the adapter's page is made from
    assert reference.public(envs)["State"] == "brax.envs.base.State"
    page = reference.pages()["reference/envs.md"]
    assert "`State` is `brax.envs.base.State`." in page
    assert "::: brax" not in page
    assert "::: hindsight_jax.envs.push.Push" in page  # of a module below


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("[T+1, *O] and [N, *G]", r"[T+1, \*O] and [N, \*G]"),
        ("*one* of `a * b`, a * b", r"*one* of `a * b`, a \* b"),
        ("Args:\n  *components: pairs", "Args:\n  *components: pairs"),
        ("Is:\n\n    a * b\n", "Is:\n\n    a * b\n"),
    ],
)
def test_stars_are_characters_but_for_emphasis_code_and_names_of_arguments(text, markdown):
    assert reference.as_markdown(text) == markdown


def test_links_within_docs_are_left_alone():
    text = "[a](images.md) [b](#c) ![d](theory/e.png) [f](https://g.h)"
    assert hooks.within_site(text, "results.md") == text
    assert hooks.within_site("[a](docs/images.md)", "results.md") == "[a](docs/images.md)"
