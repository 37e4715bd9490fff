"""The measured results of names with their default values, which --list and --help show.

Each entry repeats a run of `experiments/results/SOURCE` in the repository, with the name's values; a test compares.
"""

from typing import NamedTuple


class Expected(NamedTuple):
    """The result of one run."""

    success: float  # at the end of an episode, mean over seeds, at the last evaluation
    minutes: float  # of all seeds together, with compilation and evaluations
    seeds: int
    cores: int  # of a shared CPU
    source: str  # file in experiments/results

    def __str__(self) -> str:
        """Success and minutes, for a table.

        >>> str(Expected(success=0.891, minutes=7.9, seeds=4, cores=2, source="push.json"))
        '0.89 in 8 min'
        """
        return f"{self.success:.2f} in {max(round(self.minutes), 1)} min"


EXPECTED: dict[str, Expected] = {
    "hdm_push": Expected(success=0.838, minutes=5.1, seeds=4, cores=2, source="push.json"),
    "her_push": Expected(success=0.812, minutes=22.7, seeds=4, cores=1, source="push.json"),
    "her_hbc_push": Expected(success=0.723, minutes=10.8, seeds=4, cores=1, source="push.json"),
    "gcsl_push": Expected(success=0.476, minutes=6.8, seeds=4, cores=1, source="push.json"),
    "hdm_four_rooms": Expected(success=0.958, minutes=11.5, seeds=5, cores=1, source="four_rooms.json"),
    "hdm_printed_four_rooms": Expected(success=0.756, minutes=11.5, seeds=5, cores=1, source="four_rooms.json"),
    "her_four_rooms": Expected(success=0.940, minutes=9.3, seeds=5, cores=1, source="four_rooms.json"),
    "her_hbc_four_rooms": Expected(success=0.803, minutes=9.1, seeds=5, cores=1, source="four_rooms.json"),
    "gcsl_four_rooms": Expected(success=0.713, minutes=4.2, seeds=5, cores=1, source="four_rooms.json"),
    "hdm_lunar_lander": Expected(success=0.562, minutes=57.8, seeds=3, cores=1, source="hdm_tasks.json"),
    "hdm_door": Expected(success=0.997, minutes=13.1, seeds=3, cores=1, source="hdm_tasks.json"),
    "hdm_claw": Expected(success=0.583, minutes=16.7, seeds=3, cores=1, source="hdm_tasks.json"),
    "hem_flip_bit": Expected(success=0.979, minutes=0.9, seeds=5, cores=2, source="flip_bit.json"),
    "her_flip_bit": Expected(success=1.000, minutes=3.2, seeds=5, cores=1, source="flip_bit.json"),
    "hem_grid_four_rooms": Expected(success=0.739, minutes=3.6, seeds=5, cores=1, source="grid_four_rooms.json"),
    "hpg_grid_four_rooms": Expected(success=0.433, minutes=7.4, seeds=5, cores=1, source="grid_four_rooms.json"),
    "hem_fetch_reach": Expected(success=0.995, minutes=1.0, seeds=3, cores=1, source="reaching.json"),
    "her_ddpg_dense_fetch_reach": Expected(success=1.000, minutes=1.2, seeds=5, cores=1, source="hem-figure-4.json"),
    "her_ddpg_dense_sawyer_reach": Expected(success=1.000, minutes=1.1, seeds=5, cores=1, source="hem-figure-4.json"),
    "her_ddpg_dense_point_mass": Expected(success=0.994, minutes=4.9, seeds=5, cores=1, source="hem-figure-4.json"),
    "her_ddpg_dense_reacher": Expected(success=1.000, minutes=6.6, seeds=5, cores=1, source="hem-figure-4.json"),
    "her_ddpg_point_mass": Expected(success=0.911, minutes=9.9, seeds=5, cores=1, source="hem-figure-4.json"),
    "her_01_push": Expected(success=0.710, minutes=14.0, seeds=5, cores=1, source="hdm-table-1.json"),
    "her_sql_push": Expected(success=0.648, minutes=9.3, seeds=5, cores=1, source="hdm-table-1.json"),
    "her_hbc_lunar_lander": Expected(success=0.247, minutes=54.1, seeds=5, cores=1, source="hdm-table-1.json"),
    "gcsl_lunar_lander": Expected(success=0.538, minutes=35.4, seeds=5, cores=1, source="hdm-table-1.json"),
    "her_01_lunar_lander": Expected(success=0.049, minutes=50.4, seeds=5, cores=1, source="hdm-table-1.json"),
    "her_sql_lunar_lander": Expected(success=0.495, minutes=44.5, seeds=5, cores=1, source="hdm-table-1.json"),
    "her_01_four_rooms": Expected(success=0.913, minutes=5.2, seeds=5, cores=1, source="hdm-table-1.json"),
    "her_sql_four_rooms": Expected(success=0.842, minutes=4.0, seeds=5, cores=1, source="hdm-table-1.json"),
    "her_01_door": Expected(success=0.965, minutes=8.8, seeds=5, cores=1, source="hdm-table-1.json"),
    "her_door": Expected(success=0.994, minutes=10.5, seeds=5, cores=1, source="hdm-table-1.json"),
    "her_hbc_door": Expected(success=0.998, minutes=17.0, seeds=5, cores=1, source="hdm-table-1.json"),
    "gcsl_door": Expected(success=0.084, minutes=10.8, seeds=5, cores=1, source="hdm-table-1.json"),
    "her_claw": Expected(success=0.590, minutes=31.6, seeds=5, cores=1, source="hdm-table-1.json"),
    "her_hbc_claw": Expected(success=0.207, minutes=27.8, seeds=5, cores=1, source="hdm-table-1.json"),
    "gcsl_claw": Expected(success=0.142, minutes=11.9, seeds=5, cores=1, source="hdm-table-1.json"),
    "her_01_claw": Expected(success=0.229, minutes=13.4, seeds=5, cores=1, source="hdm-table-1.json"),
    "her_sql_claw": Expected(success=0.454, minutes=12.7, seeds=5, cores=1, source="hdm-table-1.json"),
    "hem_sawyer_reach": Expected(success=1.000, minutes=1.3, seeds=3, cores=1, source="reaching.json"),
    "hem_fetch_reach_pixels": Expected(success=1.000, minutes=6.5, seeds=3, cores=1, source="images.json"),
    "hem_sawyer_reach_pixels": Expected(success=1.000, minutes=6.3, seeds=3, cores=1, source="images.json"),
    "hem_point_mass_pixels": Expected(success=0.903, minutes=12.1, seeds=3, cores=1, source="images.json"),
    "hem_reacher_pixels": Expected(success=0.710, minutes=30.3, seeds=3, cores=1, source="images.json"),
    "hdm_push_pixels": Expected(success=0.345, minutes=50.0, seeds=3, cores=1, source="images.json"),
    "her_push_pixels": Expected(success=0.222, minutes=37.9, seeds=3, cores=1, source="images.json"),
    "hem_reacher": Expected(success=0.972, minutes=6.9, seeds=3, cores=1, source="reaching.json"),
    "hem_point_mass": Expected(success=0.958, minutes=3.1, seeds=3, cores=1, source="reaching.json"),
    "crl_four_rooms": Expected(success=0.516, minutes=20.6, seeds=5, cores=1, source="gates.json"),
    "gcivl_four_rooms": Expected(success=0.933, minutes=11.3, seeds=5, cores=1, source="gates.json"),
    "hdm_ac_four_rooms": Expected(success=0.910, minutes=12.7, seeds=5, cores=1, source="gates.json"),
    "hdm_v_four_rooms": Expected(success=0.904, minutes=9.5, seeds=5, cores=1, source="gates.json"),
    "hem_four_rooms": Expected(success=0.872, minutes=3.7, seeds=5, cores=1, source="gates.json"),
    "her_ddpg_dense_four_rooms": Expected(success=0.958, minutes=8.5, seeds=5, cores=1, source="gates.json"),
    "sac_her_four_rooms": Expected(success=0.962, minutes=14.8, seeds=5, cores=1, source="gates.json"),
    "td3_her_four_rooms": Expected(success=0.955, minutes=14.8, seeds=5, cores=1, source="gates.json"),
    "wgcsl_four_rooms": Expected(success=0.947, minutes=10.9, seeds=5, cores=1, source="gates.json"),
    "hdm_progress_push": Expected(success=0.890, minutes=10.6, seeds=5, cores=1, source="progress.json"),
}
