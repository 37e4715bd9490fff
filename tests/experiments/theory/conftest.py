"""What the tests of the theory share: small random problems."""

import numpy as np
import pytest

from experiments.theory import tabular


@pytest.fixture
def generator():
    return np.random.default_rng(11)


@pytest.fixture
def problem(generator):
    return tabular.random_problem(generator, num_states=4, num_actions=3, gamma=0.7)
