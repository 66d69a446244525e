"""Presets and published settings that differ from the defaults: data, in one table each."""

from typing import Any

from driftpolicy.tasks.task import Task

WHOLE_RUN = "offline and online steps"
"""In place of a preset's ``decay_steps``: as long as the run is, whatever its steps are set to."""

PRESETS: dict[str, dict[str, Any]] = {
    # Minutes on two CPU cores: collect, train, fine-tune, evaluate, film.
    "quickstart": {
        "task": "cube-single-play-singletask-task1-v0",
        "offline_steps": 12_000,
        "online_steps": 20_000,
        "warmup_steps": 500,
        "batch_size": 128,
        "replay_capacity": 20_000,
        "eval_every": 8_000,
        "log_every": 500,
        "checkpoint_every": 4_000,
        "collect_episodes": 80,
        "actor_hidden": (256, 256),
        "critic_hidden": (256, 256),
        "learning_rate": 6e-4,
        "decay_steps": WHOLE_RUN,
        # So short a training leaves the critic rough: its lower member and every window that holds
        # a success keep what is learned from chasing its errors.
        "critic_aggregation": "min",
        "terminal_windows": "keep",
    },
    # Some five minutes a run on one CPU core, to compare methods: little of everything, and every
    # window that holds a success; all else as published.
    "small": {
        "offline_steps": 6_000,
        "online_steps": 6_000,
        "warmup_steps": 500,
        "batch_size": 128,
        "replay_capacity": 10_000,
        "eval_every": 3_000,
        "log_every": 500,
        "checkpoint_every": 2_000,
        "collect_episodes": 100,
        "actor_hidden": (256, 256),
        "critic_hidden": (256, 256),
        "learning_rate": 6e-4,
        "decay_steps": WHOLE_RUN,
        "terminal_windows": "keep",
    },
    # Some ten minutes a run on one CPU core: what so few steps do better by than by the published
    # values (docs/improvement.md), the same for all methods.
    "short": {
        "offline_steps": 25_000,
        "online_steps": 25_000,
        "online_share": 0.5,
        "warmup_steps": 500,
        "batch_size": 128,
        "replay_capacity": 25_000,
        "eval_every": 12_500,
        "log_every": 500,
        "checkpoint_every": 12_500,
        "collect_episodes": 100,
        "actor_hidden": (128, 128),
        "critic_hidden": (128, 128),
        "learning_rate": 6e-4,
        "decay_steps": WHOLE_RUN,
        "critic_aggregation": "min",
        "terminal_windows": "keep",
    },
    # The published protocol.
    "paper": {},
}
"""By name; later entries of :func:`driftpolicy.config.resolve` win over these."""

# A wide kernel beside the narrow one pulls every sample towards the data.
_BRIEF_TEMPERATURES = (0.05, 0.5)
_BRIEF_BC = {"generated": 8, "best_of": 4, "temperatures": _BRIEF_TEMPERATURES}
_BRIEF_DFP = _BRIEF_BC | {"candidates": 8, "positives": 2, "improvement_weight": 0.2}
_BRIEF_MVP = {"best_of": 4}
_BRIEF_TOPK = _BRIEF_MVP | {"candidates": 8, "positives": 2}
# With 32 the flow's passes would take longer than all else together.
_BRIEF_FLOW = {"best_of": 8}
PRESET_PLACES: dict[tuple[str, ...], dict[str, Any]] = {
    ("quickstart", "dfp-bc"): _BRIEF_BC,
    ("quickstart", "dfp"): _BRIEF_DFP,
    ("quickstart", "mvp"): _BRIEF_MVP,
    ("quickstart", "mvp-topk"): _BRIEF_TOPK,
    ("quickstart", "qc-bfn"): _BRIEF_FLOW,
    ("small", "qc-bfn"): _BRIEF_FLOW,
    # Half as many would be but a hundred episodes.
    ("small", "robomimic"): {
        "online_steps": 12_000,
        "replay_capacity": 15_000,
    },
    ("small", "dfp", "robomimic"): {"temperatures": _BRIEF_TEMPERATURES},
    ("small", "dfp-bc", "robomimic"): {"temperatures": _BRIEF_TEMPERATURES},
    # Scripted demonstrations are short.
    ("short", "robomimic"): {"collect_episodes": 300},
    ("short", "dfp-bc"): _BRIEF_BC,
    # Its targets do not follow the drift to where the critic errs.
    ("short", "dfp"): _BRIEF_DFP | {"backup_policy": "anchor"},
    ("short", "mvp"): _BRIEF_MVP,
    ("short", "mvp-topk"): _BRIEF_TOPK | {"backup_policy": "anchor"},
    ("short", "qc-bfn"): _BRIEF_FLOW,
}
"""What a preset sets for some methods and benchmarks: by (preset, method), (preset, benchmark)
or all three."""

# Where the paper's values differ from a method's defaults: by (method, benchmark, domain, scene or
# task); of several that hold, the narrower one wins.
BENCHMARKS: dict[tuple[str, str], dict[str, Any]] = {
    # arXiv 2605.07727, Table 5.
    ("dfp", "robomimic"): {"positives": 2, "best_of": 4, "temperatures": (0.005, 0.05)},
    ("dfp-bc", "robomimic"): {"positives": 2, "best_of": 4, "temperatures": (0.005, 0.05)},
    ("mvp", "robomimic"): {"best_of": 4},
    ("mvp-topk", "robomimic"): {"positives": 2, "best_of": 4},
    # The MVP authors leave IVC out on cube-triple (arXiv 2602.13810).
    ("mvp", "cube-triple"): {"constraint_weight": 0.0},
    ("mvp-topk", "cube-triple"): {"constraint_weight": 0.0},
    # FQL's alpha is tuned per domain: the cubes' is the default, scene and puzzle are the FQL
    # authors' offline values; that of Robomimic was not checked against a source.
    ("fql", "scene"): {"distillation_weight": 300.0},
    ("qc-fql", "scene"): {"distillation_weight": 300.0},
    ("fql", "puzzle"): {"distillation_weight": 1000.0},
    ("qc-fql", "puzzle"): {"distillation_weight": 1000.0},
    ("fql", "robomimic"): {"distillation_weight": 10_000.0},
    ("qc-fql", "robomimic"): {"distillation_weight": 10_000.0},
}

OFFLINE_RL_PHASE: dict[str, Any] = {"chunk_length": 1, "best_of": 1, "online_steps": 0}
"""What the pure offline setting of the paper's Table 7 changes in every method."""

OFFLINE_RL_METHODS: dict[str, dict[str, Any]] = {"dfp": {"positives": 8}}
"""What it changes in some methods on every task (Table 8)."""

# arXiv 2605.07727, Table 8.
_FINE = (0.01, 0.05)
OFFLINE_RL: dict[tuple[str, str], dict[str, Any]] = {
    ("dfp", "cube-single-play-singletask-task2-v0"): {"improvement_weight": 0.45},
    ("dfp", "cube-double-play-singletask-task2-v0"): {"improvement_weight": 0.55},
    ("dfp", "scene-play-singletask-task2-v0"): {"temperatures": _FINE},
    ("dfp", "puzzle-3x3-play-singletask-task4-v0"): {"temperatures": _FINE},
    ("dfp", "puzzle-4x4-play-singletask-task4-v0"): {
        "temperatures": _FINE,
        "candidates": 32,
        "positives": 16,
    },
    # The FQL authors' offline value for all cubes.
    ("fql", "cube"): {"distillation_weight": 300.0},
    ("qc-fql", "cube"): {"distillation_weight": 300.0},
}
"""What it changes in some methods on some tasks: by (method, task, scene or domain)."""


def published_settings(method: str, task: Task, phase: str) -> dict[str, Any]:
    """Return the published settings of a method on a task where they differ from its defaults.

    Args:
        method: the method's name.
        task: the task, whose benchmark, domain and scene may have settings too.
        phase: the config's phase, ``offline-to-online`` or ``offline-rl``.
    """
    places = (task.benchmark, task.domain, task.family, task.name)
    values: dict[str, Any] = {}
    for place in places:
        values |= BENCHMARKS.get((method, place), {})
    if phase == "offline-rl":
        values |= OFFLINE_RL_PHASE | OFFLINE_RL_METHODS.get(method, {})
        for place in places:
            values |= OFFLINE_RL.get((method, place), {})
    return values
