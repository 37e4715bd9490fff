"""Readable failures of the comparisons of small runs."""

import pytest

pytest.register_assert_rewrite("chain_runs")
