"""A loss used from another code base: nothing of ours but the losses, nothing of others but JAX."""

import importlib.util
import subprocess
import sys

# Ours runs on JAX and what JAX cannot do without; every other distribution is refused.
PROGRAM = '''
import sys

# `_sysconfigdata` is the standard library's too, by another name on each platform
ALLOWED = {"jax", "jaxlib", "numpy", "ml_dtypes", "opt_einsum", "hindsight_jax"} | set(sys.stdlib_module_names)


class Only:
    """A finder of modules to which other people's are not installed."""

    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        allowed = name.split(".")[0] in ALLOWED or name.startswith("_sysconfigdata")
        return self.finder.find_spec(name, path, target) if allowed else None


sys.meta_path = [Only(finder) for finder in sys.meta_path]
before = set(sys.modules)

import jax
import jax.numpy as jnp
from hindsight_jax import losses

jax.config.update("jax_numpy_rank_promotion", "raise")
NUM_STATES, MOVES = 5, jnp.array([-1, 0, 1])  # a corridor: left, stay, right
GAMMA, NUM_ROWS, LOOK_AHEAD = 0.9, 4096, 12


def step(s, a):
    return jnp.clip(s + MOVES[a], 0, NUM_STATES - 1)


def q(weights, s, g):
    """Linear in one-hot features of where the goal lies from the state, [K]."""
    return jax.nn.one_hot(g - s + NUM_STATES - 1, 2 * NUM_STATES - 1) @ weights


def hindsight_rows(key):
    """(s, a, s', g, r) of random walks; the goal is a state that the walk reached, the next in a quarter of them."""
    start_key, action_key, offset_key, next_key = jax.random.split(key, 4)
    s = jax.random.randint(start_key, (NUM_ROWS,), 0, NUM_STATES)
    actions = jax.random.randint(action_key, (LOOK_AHEAD, NUM_ROWS), 0, 3)
    _, walk = jax.lax.scan(lambda s, a: (step(s, a),) * 2, s, actions)
    offset = jax.random.randint(offset_key, (NUM_ROWS,), 0, LOOK_AHEAD)
    offset = jnp.where(jax.random.bernoulli(next_key, 0.25, (NUM_ROWS,)), 0, offset)
    goal = walk[offset, jnp.arange(NUM_ROWS)]
    return s, actions[0], walk[0], goal, jnp.where(offset == 0, 0.0, -1.0)


def loss(weights, row):
    s, a, s_next, g, reward = row
    now, then = q(weights, s, g), q(weights, s_next, g)
    value = losses.greedy_value(then)
    return losses.hdm(
        losses.action_value(now, a), losses.log_prob(now, a), reward, GAMMA, value, value,
        gamma_hdm=0.7, beta=0.5, upper=0.0,
    )


@jax.jit
def reached(weights):
    """Whether the greedy policy visits the goal within a corridor's length, [S, G] of starts and goals."""

    def visits(s, g):
        def move(s, _):
            s = step(s, jnp.argmax(q(weights, s, g)))
            return s, s == g

        return jnp.any(jax.lax.scan(move, s, None, NUM_STATES - 1)[1])

    states = jnp.arange(NUM_STATES)
    return jax.vmap(lambda s: jax.vmap(lambda g: visits(s, g))(states))(states)


rows = jax.jit(hindsight_rows)(jax.random.key(0))
batch_loss = lambda weights: jnp.mean(jax.vmap(lambda row: loss(weights, row))(rows))
descend = lambda weights, _: (weights - 4.0 * jax.grad(batch_loss)(weights), batch_loss(weights))
untrained = 0.01 * jax.random.normal(jax.random.key(1), (2 * NUM_STATES - 1, 3))
trained, curve = jax.jit(lambda weights: jax.lax.scan(descend, weights, None, 1000))(untrained)

third_party = {name.split(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)
print("all reached before:", bool(jnp.all(reached(untrained))))
print("all reached after:", bool(jnp.all(reached(trained))))
print("loss falls:", bool(curve[-1] < 0.5 * curve[0]))
print("ours:", sorted({name.split(".")[1] for name in sys.modules if name.startswith("hindsight_jax.")}))
print("others:", sorted(third_party & {"flax", "optax", "chex", "brax", "mujoco", "scipy", "hypothesis", "pytest"}))
try:
    import flax
except ModuleNotFoundError as error:
    print(error)
'''


EXPECTED = """\
all reached before: False
all reached after: True
loss falls: True
ours: ['checks', 'losses', 'numerics']
others: []
No module named 'flax'
"""


def test_a_linear_model_on_a_corridor_learns_by_hdm_alone():
    assert importlib.util.find_spec("flax") is not None  # refused in the program alone
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == EXPECTED
