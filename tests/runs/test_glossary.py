"""The glossary has each metric that a run of ours records, and a user's own metric keeps its name."""

import pathlib
import re

import jax
import pytest
import tiny

from hindsight_jax import presets, training
from hindsight_jax.runs import glossary
from hindsight_jax.runs.records import INDEX_KEYS

NAMES = (  # each kind of agent
    "hdm_flip_bit",
    "hem_flip_bit",
    "her_ddpg_navigation",
    "hpg_baseline_flip_bit",
    "sac_her_navigation",
    "crl_navigation",
    "f_divergence_flip_bit",
)


@pytest.mark.parametrize("name", NAMES)
def test_each_column_of_a_record_is_explained(name):
    known = set(presets.fields_of(name)) - ({"env.num_envs"} if "hpg" in name else set())  # a multiple of its groups
    values = {field: value for field, value in tiny.VALUES.items() if field in known}
    run = presets.build(name, presets.config(name, values | {"env.size": 3})).run
    population = training.make_population(run)
    state = population.template(training.member_keys(0, 1))
    results = dict.fromkeys(("success_end", "success_any", "distance_end"), jax.ShapeDtypeStruct((1,), "float32"))
    _, columns = jax.eval_shape(population.record, state, results)
    recorded = set(training.normalize_metrics(dict.fromkeys(columns, 0.5))) - set(INDEX_KEYS)
    assert len(recorded) > 5
    assert recorded <= set(glossary.GLOSSARY)
    assert all(glossary.title(key) and glossary.meaning(key).endswith(".") for key in recorded)


def test_a_metric_of_one_s_own_keeps_its_name_and_comes_last():
    assert (glossary.title("my_own"), glossary.meaning("my_own")) == ("my_own", "")
    assert sorted(["my_own", "loss", "learner/td_loss"], key=glossary.rank) == ["learner/td_loss", "loss", "my_own"]
    assert glossary.title("learner/td_loss") == "TD loss"


def test_the_page_of_metrics_has_the_glossary_s_words():
    page = (pathlib.Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", page, re.MULTILINE)
    metrics = [(key, f"{metric.title} | {metric.meaning}") for key, metric in glossary.GLOSSARY.items()]
    assert rows == [*metrics, *glossary.COLUMNS.items()]
