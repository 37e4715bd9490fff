"""A whole experiment that compiles in a second, on the disguised chain of `probes`; and processes that run one."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import fork_server
import jax
import jax.numpy as jnp
import numpy as np
import probes
import pytest

from hindsight_jax import agents, presets, relabel, replay, training
from hindsight_jax.checkpoints.checkpoints import Checkpoints
from hindsight_jax.cli import arguments
from hindsight_jax.runs import records

HORIZON = 5


@pytest.fixture(scope="session")
def chain():
    return probes.Disguised(horizon=HORIZON)


@pytest.fixture(scope="session")
def experiment(chain):
    """Six epochs of one trajectory and two updates, after a warm-up of two; an evaluation every two epochs."""
    agent = agents.q_learning(chain.spec, distance=chain.distance, hidden_sizes=(8, 8))
    ring = replay.make_ring(training.example_trajectory(chain), 16)
    law = lambda values: relabel.hindsight(0.15, 0.2)
    sizes = training.RunSizes(
        num_envs=1, updates_per_epoch=2, batch_size=8, warmup_trajectories=2, evaluation_episodes=8
    )
    run = training.make_run(chain, agent, ring, law, relabel.reward_by_index(), sizes)
    flops = agent.flops(8)
    return presets.Setup(
        chain, agent, run, ring.num_bytes, num_epochs=6, epochs_between_evaluations=2, flops_per_update=flops
    )


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """Forks runs of `fork_server.TINY`."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "compiled"
    shared.mkdir(exist_ok=True)
    server = fork_server.Server(tmp_path_factory.mktemp("outputs"), shared)
    yield server
    server.close()


class Left(NamedTuple):
    """What a run left, less what depends on the clock."""

    files: set[str]
    rows: list[records.Record]
    step: int
    leaves: dict[str, np.ndarray]  # parameters, optimiser, target network, ring, keys, counters
    extra: dict[str, Any]


@pytest.fixture(scope="session")
def left():
    """A function of a run's directory: what its newest checkpoint and its other files hold."""
    values = arguments.parse(fork_server.TINY).config
    keys = training.member_keys(0, 2)
    template = training.make_population(presets.build("her_flip_bit", values).run).template(keys)

    def read(path: Path) -> Left:
        step, state, extra = Checkpoints(path / "checkpoints").restore(template)
        lines = (path / "metrics.jsonl").read_text().splitlines()
        table = [records.without_clock(records.decode(line)) for line in lines]
        named = jax.tree_util.tree_leaves_with_path(state)
        is_key = lambda leaf: jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        bits = {
            jax.tree_util.keystr(place): np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf)
            for place, leaf in named
        }
        files = {entry.name for entry in path.iterdir()}
        return Left(files, table, step, bits, {key: value for key, value in extra.items() if key != "seconds"})

    return read


class Whole(NamedTuple):
    """A run of TINY that nothing disturbed."""

    path: Path
    left: Left
    seconds: float
    num_calls: int  # that change what is on the disk; it differs by a few from run to run
    output: str


@pytest.fixture(scope="session")
def whole(server, left, tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "run"
    count = (
        "import atexit; fork_server.at_call(-1, None); atexit.register(lambda: print(len(fork_server.at_call.calls)))"
    )
    ended = server.run(*fork_server.TINY, f"--workdir={path}", setup=count)
    assert (ended.code, ended.errors) == (0, "")
    *output, num_calls = ended.output.splitlines()
    return Whole(path, left(path), ended.seconds, int(num_calls), "\n".join(output))


@pytest.fixture
def assert_whole(left, whole):
    """A function of a run's directory: it holds what it would hold if nothing had disturbed the run."""

    def check(path: Path) -> None:
        found = left(path)
        assert found.rows == whole.left.rows
        assert (found.step, found.extra) == (whole.left.step, whole.left.extra)
        assert found.leaves.keys() == whole.left.leaves.keys()
        for name, bits in found.leaves.items():
            np.testing.assert_array_equal(bits, whole.left.leaves[name], err_msg=name, strict=True)
        assert {name for name in found.files if not name.startswith(".")} == {
            name for name in whole.left.files if not name.startswith(".")
        }

    return check
