"""A run that begins where another stands, its parent: what may differ, and what it takes."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from hindsight_jax import checks, fields, numerics, presets, training
from hindsight_jax.checkpoints.checkpoints import Checkpoints
from hindsight_jax.runs import config_file
from hindsight_jax.runs.load import ADDED_LEAVES, RENAMED_LEAVES
from hindsight_jax.runs.workdir import WorkDir


def check(path: Path, config: Mapping[str, Any], setup: presets.Setup) -> None:
    """ValueError, before anything is written, for values that change the shapes of the parent's state."""
    name, old, _ = config_file.load(path / "config.json")
    if _shapes(setup) == _shapes(presets.build(name, old, read_data=False)):
        return
    changed = [
        f"{field}={fields.text(value)}"
        for field, value in config.items()
        if value != old.get(field) and field not in config_file.RESUMABLE
    ]
    rule = "one of them changes the shapes of the state that the run of --from has"
    checks.fail("--from", ", ".join(changed), rule, "Leave that field out, or start a new run.")


def _shapes(setup: presets.Setup) -> list[tuple[str, Any, str]]:
    """Path, shape and dtype of each leaf of a member's state. Computes nothing."""
    state = jax.eval_shape(setup.run.init_without_warmup, numerics.key(0))
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return [(jax.tree_util.keystr(path), leaf.shape, str(leaf.dtype)) for path, leaf in leaves]


def begin(run: Any, path: Path) -> dict[str, Any]:
    """Gives a `session.Session` the newest state of its parent, with its own hyper-parameters; returns its origin.

    Raises ValueError if no step is left to take, CheckpointError if the parent has no good checkpoint.
    """
    document = WorkDir.open(path).read_config()
    run.init()
    template = run.population.template(run.keys)
    _, state, _ = Checkpoints(path / "checkpoints").restore(template, renamed=RENAMED_LEAVES, added=ADDED_LEAVES)
    run.state = training.with_overrides_of(state, run.state)
    run.first_env_steps = run.env_steps()
    if int(run.state.epochs) >= run.setup.num_epochs:
        rule = f"the run of --from has taken {run.first_env_steps:,} env steps"
        checks.fail("total_steps", f"{run.config['total_steps']:,}", rule, "Raise --config.total_steps.")
    origin = {"name": document["name"], "commit": document["commit"], "dirty": document["dirty"]}
    return {"path": os.path.relpath(path, run.workdir.path), **origin, "env_steps": run.first_env_steps}
