"""The run of an earlier version, the hashes of its leaves, and its state as a resumed run restores it."""

import hashlib
import json
from pathlib import Path

import jax
import numpy as np

from hindsight_jax import presets, training
from hindsight_jax.checkpoints.checkpoints import Checkpoints
from hindsight_jax.runs import config_file, load

GOLDEN = Path(__file__).parents[1] / "data/golden_run"
LEAVES = GOLDEN.with_name("golden_leaves.json")


def restored(folder):
    """(step, state, extra), as a resumed run restores them."""
    name, config, _ = config_file.load(folder / "config.json")
    template = training.make_population(presets.build(name, config).run).template(
        training.member_keys(config["seed"], config["seeds"])
    )
    return Checkpoints(folder / "checkpoints").restore(template, renamed=load.RENAMED_LEAVES, added=load.ADDED_LEAVES)


def hashes(state):
    """Path -> sha256 of the shape, the dtype and the bytes of each leaf."""

    def of(leaf):
        data = jax.random.key_data(leaf) if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
        bits = np.asarray(data)
        return hashlib.sha256(f"{leaf.dtype}{list(leaf.shape)}".encode() + bits.tobytes()).hexdigest()

    return {jax.tree_util.keystr(path): of(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(state)}


if __name__ == "__main__":
    print(json.dumps(hashes(restored(GOLDEN)[1]), indent=1))
