"""Presets and per-benchmark overrides: data, in one table each."""

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    # Minutes on two CPU cores: collect, train, fine-tune, evaluate, film.
    "quickstart": {
        "task": "cube-single-play-singletask-task1-v0",
        "offline_steps": 9_000,
        "online_steps": 9_000,
        "warmup_steps": 500,
        "batch_size": 256,
        "replay_capacity": 20_000,
        "eval_every": 4_500,
        "log_every": 250,
        "checkpoint_every": 2_000,
        "collect_episodes": 80,
        "actor_hidden": (256, 256),
        "critic_hidden": (256, 256),
        "learning_rate": 6e-4,
        "generated": 4,
        "candidates": 8,
        "positives": 2,
        "best_of": 4,
        # So short a training leaves the critic rough: its lower member and every window that
        # holds a success help more here than in the published protocol, which has neither.
        "critic_aggregation": "min",
        "terminal_windows": "keep",
    },
    # Hours on two CPU cores, for comparisons between methods.
    "small": {
        "offline_steps": 50_000,
        "online_steps": 50_000,
        "warmup_steps": 1_000,
        "replay_capacity": 100_000,
        "eval_every": 10_000,
        "log_every": 1_000,
        "checkpoint_every": 5_000,
        "collect_episodes": 200,
        "actor_hidden": (256, 256, 256),
        "critic_hidden": (256, 256, 256),
    },
    # The published protocol.
    "paper": {},
}
"""By name; later entries of :func:`driftpolicy.training.config.resolve` win over these."""

BENCHMARKS: dict[tuple[str, str], dict[str, Any]] = {
    ("robomimic", "dfp"): {"positives": 2, "best_of": 4, "temperatures": (0.005, 0.05)},
}
"""By (benchmark, method): where the paper's values differ from the method's defaults (Table 5)."""
