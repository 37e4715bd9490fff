"""Every wrong call of the statistics is refused by name: no text becomes a number, and no imaginary part is lost."""

import math

import numpy as np
import pytest
import wrong_calls
from wrong_arguments import JUNK, Argument, count, flag, option, plain_number
from wrong_calls import door

from hindsight_jax import statistics

NO_NUMBERS = {
    label: value for label, value in JUNK.items() if label not in ("list", "NumPy array", "JAX array", "range")
}


class Quantity:
    """A number of metres: what NumPy makes of it has no unit."""

    units = property(lambda self: "metre")

    def __array__(self, dtype=None, copy=None):
        return np.array([0.5, 0.7])


MASKED = np.ma.masked_equal([0.5, -1.0, 0.9], -1.0)
SEEDS = Argument(
    [0.5, 0.7],
    {},
    NO_NUMBERS
    | {
        "texts of numbers": ["0.5", "0.7"],
        "complex": np.array([0.5, 0.7j]),
        "None in it": [0.5, None],
        "masked": MASKED,
        "masked, nothing of it": np.ma.array([0.5, 0.7]),
        "masked seeds in a list": [MASKED, MASKED],
        "a masked number in a list": [0.5, np.ma.masked],
        "a unit": Quantity(),
        "a matrix": np.ones((2, 2)).view(np.matrix),
        "no seeds": [],
        "no tasks": np.zeros((2, 0)),
        "NaN": [0.5, math.nan],
        "infinity": [0.5, math.inf],
    },
)
SHARE = plain_number(0.95, 0.0, 1.0, -0.1, 1.1, 95)
SEED = count(3)._replace(static={k: v for k, v in count().static.items() if k not in ("0", "NumPy 0")})
TASKS = SEEDS._replace(known=SEEDS.known | {"three axes": np.zeros((2, 2, 2))})
DOORS = {
    "interval": door(statistics.interval, x=SEEDS, confidence=SHARE, nan_policy=option("raise"), rates=flag()),
    "difference": door(statistics.difference, x=TASKS, y=TASKS, confidence=SHARE, paired=flag()),
    "interquartile_mean": door(statistics.interquartile_mean, x=SEEDS),
    "bootstrap_iqm": door(
        statistics.bootstrap_iqm,
        x=TASKS,
        confidence=SHARE,
        num_resamples=count(100)._replace(known={"99": 99}),
        seed=SEED,
        rates=flag(),
    ),
    "probability_of_improvement": door(
        statistics.probability_of_improvement, x=TASKS, y=TASKS, confidence=SHARE, paired=flag()
    ),
}


@pytest.mark.parametrize("name", DOORS)
def test_the_right_call_works_and_every_wrong_one_is_refused(name):
    DOORS[name].call()
    assert wrong_calls.thin(DOORS) == {}
    assert wrong_calls.complaints(DOORS[name]) == {}


def test_every_public_function_is_tried():
    own = {name for name, value in vars(statistics).items() if getattr(value, "__module__", "") == statistics.__name__}
    assert {name for name in own if not name.startswith("_")} - {"Interval"} == set(DOORS)


def test_a_masked_seed_is_named_as_such():
    """Its mean without the mask would be 0.13."""
    with pytest.raises(ValueError, match=r"^x: got a MaskedArray of float64\[3\], but .* Fill or drop what is masked"):
        statistics.interval(MASKED)


def test_seeds_may_come_from_a_file_or_a_frame(tmp_path):
    np.save(tmp_path / "x.npy", [0.5, 0.9])

    class Column:
        __array__ = lambda self, dtype=None, copy=None: np.array([0.5, 0.9])

    for seeds in (np.load(tmp_path / "x.npy", mmap_mode="r"), Column()):
        assert statistics.interval(seeds).mean == 0.7
