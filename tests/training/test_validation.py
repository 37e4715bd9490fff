"""Every wrong call of training raises ValueError with name, rule and remedy, before anything is computed."""

import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import probes
import pytest
import tiny
import wrong_calls
from wrong_arguments import JUNK, NO_ARRAYS, Argument, count, key, optional, plain_number, record, thing, zeros_like
from wrong_calls import abstractly, door

from hindsight_jax import agents, presets, relabel, replay, study, training, types
from hindsight_jax.checkpoints import checkpoints

KEY, KEYS = jax.random.key(0), training.member_keys(0, 2)
ENV, OTHER = probes.Chain(horizon=3), probes.Chain(horizon=4)
AGENT = agents.q_learning(ENV.spec, distance=ENV.distance, hidden_sizes=(4,))
RING = replay.make_ring(training.example_trajectory(ENV), 8)
REWARD, PREFERENCE = relabel.reward_by_index(), relabel.prefer(lambda achieved, goal: jnp.any(achieved != goal))
SIZES = training.RunSizes(1, 2, 4, 3, 2)


def law_of(values):
    return relabel.hindsight(values.get("behaviour", 0.1), 0.2)


def policy(observation, goal, key):
    del observation, goal
    return ENV.spec.action.sample(key)


def ring_of(**fields):
    return replay.make_ring(training.example_trajectory(ENV)._replace(**fields), 8)


def without(argument, *labels):
    kept = lambda mistakes: {label: wrong for label, wrong in mistakes.items() if label not in labels}
    return argument._replace(static=kept(argument.static), known=kept(argument.known))


RUN = training.make_run(ENV, AGENT, RING, law_of, REWARD, SIZES)
FIXED = training.make_run(ENV, AGENT, RING, relabel.future(), REWARD, SIZES, PREFERENCE)
POPULATION = training.make_population(RUN)
STATE = zeros_like(jax.eval_shape(RUN.init, KEY))
MEMBERS = jax.tree.map(lambda x: jnp.stack([x, x]), STATE)
BATCHES, RESULTS = (zeros_like(jax.eval_shape(function, STATE, KEY)) for function in (RUN.sample, RUN.evaluate))
COLUMNS = {name: jnp.zeros(2) for name in RESULTS}
WHOLE = training.PopulationState(
    MEMBERS,
    training.Best(MEMBERS.agent, jnp.zeros(2), jnp.zeros(2, jnp.int32)),
    {"loss": jnp.zeros(2)},
    jnp.int32(0),
    jnp.int32(0),
)
DEVICE = jax.devices()[0]

# kinds of arguments

SEED = plain_number(3, 2**31, -(2**31) - 1, 0.5, math.nan)._replace(value=3)
SEED = SEED._replace(known=SEED.known | {"float": 0.5})
BAD_COUNTS = {
    f"{field} {bad}": SIZES._replace(**{field: bad}) for field in SIZES._fields for bad in (0, -1, 2.5, None, "2", True)
}
SIZES_ = thing(SIZES, a_class=training.RunSizes, a_tuple=tuple(SIZES), beyond=SIZES._replace(num_envs=9))
SIZES_ = SIZES_._replace(known=SIZES_.known | BAD_COUNTS | {"warm-up beyond": SIZES._replace(warmup_trajectories=9)})
GOALS = {"two arguments": lambda a, b: a, "none": lambda: 0}
VALUES = {
    "without a part": {"gamma": 0.5},
    "another part": {"env.size": 0.5},
    "no name": {"agent.": 0.5},
    "unknown": {"agent.gama": 0.5},
    "a number for a name": {3: 1.0},
}
OF_MEMBER = Argument(None, {}, {k: v for k, v in JUNK.items() if k not in ("None", "dict")} | VALUES)
OF_MEMBERS = OF_MEMBER._replace(
    known={
        label: wrong if label not in VALUES else dict.fromkeys(wrong, jnp.ones(2))
        for label, wrong in OF_MEMBER.known.items()
    }
    | {
        "three": {"agent.gamma": jnp.ones(3)},
        "one": {"agent.gamma": 0.5},
        "a column": {"agent.gamma": jnp.ones((2, 1))},
        "out of range": {"agent.gamma": jnp.array([0.5, 2.0])},
        "NaN": {"agent.gamma": jnp.array([0.5, math.nan])},
        "booleans": {"agent.gamma": jnp.array([True, True])},
        "text": {"agent.gamma": "ab"},
        "a list": {"agent.gamma": [0.5, 0.5]},
        "no law": {"relabel.behaviour": jnp.array([0.5, 2.0])},
    }
)
LAWS = ("behaviour_probability", "hparams")  # what a law calls relabel.behaviour, and an agent agent.*
KEYS_ = without(key(), "a batch", "[1]")._replace(value=KEYS)
KEYS_ = KEYS_._replace(static=KEYS_.static | {"one": KEY, "a matrix": KEYS[None]})
ENV_ = thing(ENV, a_class=probes.Chain, spec=ENV.spec)
DEVICES = Argument(
    (DEVICE,), {}, JUNK | {"one alone": DEVICE, "twice": (DEVICE, DEVICE), "its name": ["cpu"], "its number": [0]}
)
RUN_ = thing(RUN, a_class=training.Run, a_tuple=tuple(RUN), its_functions=RUN._asdict(), population=POPULATION)
POLICY = thing(policy, two_arguments=lambda observation, goal: 0, a_class=types.Box, action=jnp.zeros(1))


def state_of(state, **fields):
    """A member's state, and states with each mistake in a field that the run itself reads."""
    scalars = {
        name: Argument(
            getattr(state, name),
            {"float": jnp.float32(0), "[1]": getattr(state, name)[None], "None": None, "string": "0", "complex": 1j},
        )
        for name in ("env_steps", "updates", "frozen")
    }
    keys = {
        "key": key(),
        "epoch_key": Argument(state.epoch_key, {"a key": KEY, "a scalar": jnp.uint32(0), "None": None}),
    }
    goals = {
        "law": Argument(state.law, {}, {k: v for k, v in JUNK.items() if (k == "None") != (state.law is None)}),
        "preference": Argument(None, {}, {k: v for k, v in JUNK.items() if k != "None"}),
    }
    return record(state, **scalars, **keys, **goals, **fields)._replace(sizes={"stacked": MEMBERS})


STATE_ = state_of(STATE)
RING_STATE = {
    "replay": Argument(STATE.replay, {}, JUNK | {"another ring's": ring_of().init()._replace(end=jnp.zeros(3))})
}


def shaped(value):
    """An array, and values of other shapes or no arrays."""
    return Argument(value, {"short": value[:1], "a scalar": value[0], "a row": value[None]}, NO_ARRAYS)


def functions_of_a_run():
    """Calls of the functions that `make_run` makes."""
    full, one_key = state_of(STATE, **RING_STATE), key()
    collected = training.example_trajectory(ENV)
    trajectories = jax.tree.map(lambda x: x[None], collected)
    wrong_batches = {
        "one batch": jax.tree.map(lambda x: x[0], BATCHES),
        "three": jax.tree.map(lambda x: x[:1], BATCHES),
    }
    batches = thing(BATCHES, a_tuple=tuple(BATCHES), trajectories=trajectories, **wrong_batches)
    frozen = STATE._replace(frozen=jnp.array(True))
    return {
        "init": door(abstractly(RUN.init), key=one_key, overrides=OF_MEMBER, any_blamed=True, blames=LAWS),
        "init_without_warmup": door(
            abstractly(RUN.init_without_warmup), key=one_key, overrides=OF_MEMBER, any_blamed=True, blames=LAWS
        ),
        "epoch": door(abstractly(RUN.epoch), state=STATE_),
        "collect": door(abstractly(RUN.collect), state=STATE_, key=one_key),
        "evaluate": door(abstractly(RUN.evaluate), state=STATE_, key=one_key),
        "store": door(
            abstractly(RUN.store),
            state=full,
            trajectories=thing(trajectories, one=collected, a_tuple=tuple(trajectories)),
            any_blamed=True,
        ),
        "sample": door(abstractly(RUN.sample), state=full, key=one_key, any_blamed=True),
        "learn": door(abstractly(RUN.learn), state=STATE_, batches=batches, key=one_key, any_blamed=True),
        "diagnose": door(RUN.diagnose, state=state_of(frozen)._replace(known=JUNK | {"not frozen": STATE})),
        "check": door(
            RUN.check, overrides=without(OF_MEMBER, "unknown")._replace(value={}), blames=LAWS
        ),  # names are init's to know
    }


def functions_of_a_population():
    """Calls of the functions that `make_population` makes; arguments that JAX itself refuses are left out."""
    call = lambda function: abstractly(lambda state, **rest: function(state, *rest.values()))
    arrays = {label: value for label, value in JUNK.items() if all(map(is_array, jax.tree.leaves(value)))}
    state = record(WHOLE)._replace(
        known=arrays
        | {
            "of one member": STATE,
            "members alone": MEMBERS,
            "a tuple": tuple(WHOLE),
            "one member": WHOLE._replace(members=STATE),
            "another number of the best": WHOLE._replace(best=jax.tree.map(lambda x: x[:1], WHOLE.best)),
            "no best": WHOLE._replace(best=None),
            "no metrics": WHOLE._replace(metric_sums=None),
            "metrics of three": WHOLE._replace(metric_sums={"loss": jnp.zeros(3)}),
            "epochs of each": WHOLE._replace(epochs=jnp.zeros(2, jnp.int32)),
            "epochs in floats": WHOLE._replace(summed_epochs=jnp.float32(0)),
        }
    )
    number = Argument(jnp.int32(1), {}, {k: v for k, v in arrays.items() if k != "integer"} | {"two": jnp.ones(2, int)})
    three = jax.random.split(KEY, 3)
    keys = Argument(KEYS, {}, arrays | {"one": KEY, "three": three, "raw": jax.random.key_data(KEYS)})
    results = {
        "none": {},
        "without success_any": {"success_end": jnp.zeros(2)},
        "of three": dict.fromkeys(COLUMNS, jnp.zeros(3)),
        "booleans": dict.fromkeys(COLUMNS, jnp.ones(2, bool)),
    }
    results = Argument(COLUMNS, {}, arrays | results)
    return {
        "init": door(abstractly(POPULATION.init), keys=KEYS_, overrides=OF_MEMBERS, any_blamed=True, blames=LAWS),
        "template": door(POPULATION.template, keys=KEYS_),
        "compile": door(POPULATION.compile, keys=KEYS_, overrides=OF_MEMBERS, any_blamed=True, blames=LAWS),
        "advance": door(call(POPULATION.advance), state=state, num_epochs=number),
        "evaluate": door(call(POPULATION.evaluate), state=state, keys=keys),
        "record": door(call(POPULATION.record), state=state, results=results, any_blamed=True),
    }


def is_array(leaf):
    return isinstance(leaf, (jax.Array, int, float, complex))


COLUMN = {
    "a scalar": {"a": jnp.float32(0)},
    "NumPy": {"a": np.zeros(2)},
    "unequal": {"a": jnp.zeros(2), "b": jnp.zeros(3)},
}
PARTS = {
    "env": ENV_,
    "agent": thing(
        AGENT,
        a_class=agents.Agent,
        a_tuple=tuple(AGENT),
        of_another_batch=AGENT._replace(batch="rows"),
        of_no_batch=AGENT._replace(batch=None),
        of_trajectories=AGENT._replace(batch="trajectories"),
        without_act=AGENT._replace(act=None),
        without_check=AGENT._replace(check=3),
    ),
    "ring": thing(
        RING,
        its_state=RING.init(),
        a_class=replay.Replay,
        another_horizon=replay.make_ring(training.example_trajectory(OTHER), 8),
        other_observations=ring_of(observation=jnp.zeros((4, 7))),
        other_goals=ring_of(achieved_goal=jnp.zeros((4, 7)), desired_goal=jnp.zeros(7)),
        other_actions=ring_of(action=jnp.zeros((3, 2), jnp.int32)),
        moves=ring_of(action=jnp.zeros((3, 1))),
        too_small=replay.make_ring(training.example_trajectory(ENV), 2),
    ),
    "law": thing(law_of, constructor=relabel.future, a_class=relabel.Geometric, preference=PREFERENCE, **GOALS),
    "reward_fn": thing(REWARD, constructor=relabel.reward_by_index, number=lambda: 0.0, success=ENV.success),
    "sizes": SIZES_,
    "preference": optional(thing(PREFERENCE, law=relabel.future(), a_class=relabel.Preference, **GOALS)),
}
DOORS = {
    "make_run": door(training.make_run, **PARTS, any_blamed=True),
    "make_population": door(training.make_population, run=RUN_, devices=optional(DEVICES), chunk=optional(count())),
    "member_keys": door(training.member_keys, seed=SEED, num_members=count()),
    "devices_for": door(training.devices_for, num_members=count(), devices=optional(DEVICES)),
    "devices_of": door(training.devices_of, run=RUN_, num_members=count(), devices=optional(DEVICES)),
    "default_chunk": door(training.default_chunk, devices=DEVICES),
    "rollout": door(abstractly(training.rollout), env=ENV_, policy=POLICY, key=key(), num_envs=count(2)),
    "example_trajectory": door(training.example_trajectory, env=ENV_),
    "memory_use": door(training.memory_use, run=RUN_),
    "num_bytes": door(
        training.num_bytes,
        tree=Argument(
            STATE,
            {},
            {k: v for k, v in JUNK.items() if k not in ("None", "tuple", "NumPy array", "JAX array")}
            | {
                "some text in it": {"a": jnp.zeros(2), "b": "text"},
                "a list in it": [3],
                "a type": np.float32,
                "a dtype": np.dtype(int),
            }
            | {"strings": np.array(["a"]), "objects": np.array([None])},
        ),
    ),
    "members": door(
        training.members,
        seeds=thing(
            (0, 1), but=("range",), text=("0",), fractions=(0.5,), beyond=(2**31,), flags=(True,), iterator=iter([0])
        ),
        settings=thing(({"a": 1.0},), of_numbers=(3,), other_fields=({"a": 1.0}, {"b": 1.0}), a_dict={"a": 1.0}),
    ),
    "members: chunks": door(training.members((0, 1)).chunks, size=count()),
    "members: values": door(
        training.members((0, 1), ({"agent.gamma": 0.5, "agent.backup": "max"},)).overrides,
        fields=thing(("agent.gamma",), but=("tuple",), unknown=("agent.beta",), text=("agent.backup",), numbers=(3,)),
        any_blamed=True,
        blames=("settings",),
    ),
    "pop_metrics": door(training.pop_metrics, state=record(WHOLE)),
    "with_overrides_of": door(training.with_overrides_of, state=record(WHOLE), other=record(WHOLE)),
    "normalize_metrics": door(
        training.normalize_metrics, columns=Argument(COLUMNS, {}, {k: v for k, v in JUNK.items() if k != "dict"})
    ),
    "local_members": door(
        training.local_members,
        columns=Argument(COLUMNS, {}, JUNK | COLUMN | {"none": {}, "a list of arrays": [jnp.zeros(2)]}),
    ),
    "local_member": door(
        training.local_member,
        tree=Argument(WHOLE.best, {}, {k: v for k, v in JUNK.items() if k != "JAX array"} | COLUMN),
        member=plain_number(1, -1, 2, 0.5, math.nan)._replace(value=1),
    ),
}
FIELDS = (*presets.all_fields(), "a", "3", "agent.gama", "seed", "grid")
ELSEWHERE = {
    "Checkpoints": door(
        lambda directory, keep: checkpoints.Checkpoints(directory, keep=keep),
        directory=thing("unused", but=("string",), none=""),
        keep=count(),
    ),
    "train": door(
        study.train,
        name=thing(tiny.NAME, unknown="her_flip_bits"),
        seeds=thing(2, but=("integer", "range", "list"), twice=(1, 1), negative=(-1,), none=0, text="12"),
        grid=optional(thing({"agent.gamma": (0.5,)}, unknown={"agent.gama": (0.5,)}, text={"agent.gamma": "0.5"})),
        overrides=optional(thing(tiny.VALUES, unknown={"agent.gama": 0.5}, text={"agent.gamma": "0.5"}, number={3: 1})),
        total_steps=optional(thing(30, but=("integer", "None"), negative=-1, few=3, text="30")),
        report=optional(thing(print)),
        members_at_once=optional(count()),
        any_blamed=True,
        blames=FIELDS,
    ),
    "build": door(
        presets.build,
        name=thing(tiny.NAME, unknown="her_flip_bits", another="her_push"),
        config=thing(presets.config(tiny.NAME), empty={}, part=tiny.VALUES, more=presets.config("her_push")),
        any_blamed=True,
        blames=FIELDS,
    ),
}


@pytest.mark.parametrize("name", [name for name in DOORS if name not in ("make_population",)])
def test_the_right_call_works(name):
    DOORS[name].call()


@pytest.mark.parametrize("name", [*DOORS, *ELSEWHERE])
def test_every_wrong_call_is_refused_at_the_door(name, monkeypatch):
    monkeypatch.setattr(study, "_trained", lambda *_: 1 / 0)
    assert wrong_calls.complaints((DOORS | ELSEWHERE)[name]) == {}


@pytest.mark.parametrize("functions", [functions_of_a_run, functions_of_a_population])
def test_wrong_calls_of_what_is_made_are_refused_too(functions):
    found = functions()
    assert wrong_calls.thin(found) == {}
    for name, tried in found.items():
        assert wrong_calls.complaints(tried) == {}, name
    whole = RUN if functions is functions_of_a_run else POPULATION
    assert set(found) == set(whole._fields) - {"spec"}


def test_the_table_holds_every_public_function_with_twenty_wrong_calls():
    classes = [name for name in training.__all__ if inspect.isclass(getattr(training, name))]
    assert wrong_calls.missing(training, DOORS, others=[*classes, "free_memory"]) == set()
    assert wrong_calls.thin(DOORS | ELSEWHERE) == {}
