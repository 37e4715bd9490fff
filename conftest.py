"""Settings of every test: quick compiles, kept for the next run; ranks never promote."""

import os
import signal
import threading

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MUJOCO_GL", "disable")

import compiles

compiles.configure()

import jax  # noqa: E402 - it reads the environment
import pytest  # noqa: E402

pytest_plugins = ["run_fixtures"]
pytest.register_assert_rewrite("chain_runs", "physics_contract", "ring_model")  # before any test file imports them
collect_ignore = ["experiments/site/extension.py"]  # it imports griffe, of the extra `docs`; the site's test runs it

jax.config.update("jax_numpy_rank_promotion", "raise")

# Where a shell's `&` or a CI runner started the tests, SIGINT is ignored, and children inherit that; the tests send it.
if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# Examples that compile MuJoCo's step for nothing else; tests/envs runs the same code.
TASKS = ("claw", "door", "fetch_reach", "four_rooms", "lunar_lander", "point_mass", "push", "reacher", "sawyer_reach")
SELDOM = tuple(f"hindsight_jax.envs.{name}." for name in ("images", "physics", "wrappers", *TASKS))
# Files whose runs are forks of one server, which is started and compiled for once.
FORKED = {
    *(f"tests/runs/test_{name}.py" for name in ("continued", "kills", "run_disks", "run_streams")),
    *(f"tests/cli/test_{name}.py" for name in ("command_lines", "main")),
}
LONG = ("tests/envs/", "tests/training/", "tests/runs/", "tests/agents/")  # a file takes ten seconds, elsewhere a few


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """`--dist loadfile`, but one worker takes all that forks the server, and files start in the order of `items`."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return "FORKED" if file in FORKED else file

    config.option.loadscopereorder = False
    return Scheduling(config, log)


@pytest.hookimpl(tryfirst=True)  # before marks select
def pytest_collection_modifyitems(items):
    """Long files come first, so that workers end together."""
    items.sort(key=lambda item: (item.nodeid.partition("::")[0] not in FORKED, not item.nodeid.startswith(LONG)))
    for item in items:
        if isinstance(item, pytest.DoctestItem) and item.name.startswith(SELDOM):
            item.add_marker(pytest.mark.seldom)


@pytest.fixture(scope="module")
def optimised():
    """For `pytestmark = pytest.mark.usefixtures("optimised")`: a module that needs code as users have it."""
    with compiles.optimised():
        yield
