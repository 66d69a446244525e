"""The cards of repositories: what is in them, how it was made, how good it is, and its limits."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from driftpolicy import __version__
from driftpolicy.config import TrainConfig
from driftpolicy.runs import PHASES, Evaluation, Run, Summary
from driftpolicy.tasks.custom.tasks import published_name
from driftpolicy.training.evaluation import success_interval


def policy_card(name: str, run: Run, config: TrainConfig, step: int) -> str:
    """Return the card of a trained policy.

    Args:
        name: of its repository.
        run: where it was trained.
        config: of the run, as it is published.
        step: of the checkpoint.
    """
    summary = run.summary
    title = f"{config.method} on {config.task}"
    last = [_last(run.evaluations, phase) for phase in PHASES]
    rows = [_result(phase, one) for phase, one in zip(PHASES, last, strict=True) if one]
    state = "finished" if run.finished else f"unfinished, step {step:,} of {config.total_steps:,}"
    return _document(
        {
            "library_name": "driftpolicy",
            "pipeline_tag": "robotics",
            "tags": ["driftpolicy", "robotics", "reinforcement-learning"],
        },
        f"# {title}",
        f"A one-step generative policy, trained by driftpolicy with seed {config.seed}: checkpoint "
        f"of step {step:,} ({state}).",
        "## Use",
        f'```python\nimport driftpolicy\n\npolicy = driftpolicy.load_policy("hf://{name}")\n'
        "chunk = policy.act(observation, seed=0)  # the next "
        f"{config.agent.chunk_length} actions\n```",
        "`hf://NAME@COMMIT` loads one state of this repository for ever. Loading executes nothing "
        "from it: the files are plain arrays, JSON and text.",
        "## Results",
        _table(("phase", "step", "success (%)", "95% interval", "episodes", "return"), rows)
        if rows
        else "The run kept no evaluation.",
        "Success is the share of evaluation episodes that reach the task's goal, in percent of "
        "those episodes, with Wilson's interval for this one seed: other seeds differ by more. The "
        "return is the mean sum of rewards, in the task's own scale.",
        "## How it was made",
        f"```bash\ndfp train --config config.json{_resettled(config)}\n```",
        f"`config.json` holds every setting. Versions: {_versions(summary)}.",
        "## Data",
        _data(without_paths(summary).data if summary else None),
        "## Limits",
        "The policy was evaluated in the simulator or environment named above and nowhere else. It "
        "takes that environment's observations, gives its actions, and knows nothing of safety: "
        "bound its actions, speeds and forces before it moves a robot.",
    )


def data_card(name: str, files: Sequence[str], facts: Mapping[str, str]) -> str:
    """Return the card of prior data.

    Args:
        name: of the repository.
        files: their names.
        facts: what an inspection says of them.
    """
    return _document(
        {"tags": ["driftpolicy", "robotics"], "task_categories": ["robotics"]},
        f"# {name}",
        "Recorded transitions for offline-to-online reinforcement learning, in the files "
        + ", ".join(f"`{file}`" for file in files)
        + ".",
        "## Use",
        f"```bash\ndfp data pull {name}\n```",
        "## Contents",
        _table(("", ""), [(key, value) for key, value in facts.items()]),
        "## Limits",
        "The data are what the table says of their origin and no more; data labelled as collected "
        "are not a published dataset, and results on them are not comparable with results on it.",
    )


def _document(head: Mapping[str, Any], *parts: str) -> str:
    # JSON's values are YAML's too.
    lines = "\n".join(f"{key}: {json.dumps(value)}" for key, value in head.items())
    return "\n\n".join([f"---\n{lines}\n---", *parts]) + "\n"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", "<br>")


def _last(evaluations: Sequence[Evaluation], phase: str) -> Evaluation | None:
    return next((one for one in reversed(evaluations) if one.phase == phase), None)


def _result(phase: str, one: Evaluation) -> tuple[str, ...]:
    low, high = success_interval(round(one.success * one.episodes), one.episodes)
    return (
        phase,
        f"{one.step:,}",
        f"{one.percent:.1f}",
        f"{100 * low:.0f} to {100 * high:.0f}",
        str(one.episodes),
        f"{one.return_:.4g}",
    )


def _resettled(config: TrainConfig) -> str:
    return "" if config.data is None else " --data PATH"


def _versions(summary: Summary | None) -> str:
    if summary is None:
        return f"not recorded; published with driftpolicy {__version__}"
    found = summary.versions or {"driftpolicy": summary.version or "not recorded"}
    return ", ".join(f"{name} {version}" for name, version in found.items())


def _data(data: Mapping[str, Any] | None) -> str:
    if data is None:
        return "The run does not say on which data it was trained."
    rows = [(key.replace("_", " "), _words(value)) for key, value in data.items()]
    return _table(("", ""), rows)


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(one)}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value))
    return str(value)


def published(config: TrainConfig) -> TrainConfig:
    """Return a config without the folders of the machine where the run was made."""
    return dataclasses.replace(
        config,
        task=published_name(config.task),
        data=config.data and PurePath(config.data).name,
        offline_from=config.offline_from and PurePath(config.offline_from).name,
        data_cache=None,
    )


def without_paths(summary: Summary) -> Summary:
    """Return a summary that does not say where the data were on the machine."""
    data = {key: value for key, value in (summary.data or {}).items() if key != "path"}
    return dataclasses.replace(summary, data=data if summary.data is not None else None)
