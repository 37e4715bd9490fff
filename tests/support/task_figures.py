"""Figures of one task, as the command writes them."""

FIGURES = {
    "success_start": 0.2,
    "success_end": 0.25,
    "success_any": 0.5,
    "change_ratio": 0.75,
    "reachable": 1.0,
    "images_per_second": 1234.0,
    "speed": {
        batch: {"env_steps_per_second": 1e3, "raw_mjx_steps_per_second": 2e3, "ratio": 0.5, "compile_seconds": 3.0}
        for batch in ("1", "64", "256", "1024")
    },
}
