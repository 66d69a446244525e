"""``dfp eval``: evaluate a trained policy, and film it."""

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from driftpolicy.errors import UserError
from driftpolicy.progress import busy


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "run_folder", metavar="RUN", help="a run's folder, a checkpoint file, or hf://owner/name"
    )
    parser.add_argument("--episodes", type=int, default=50, help="episodes [50]")
    parser.add_argument("--seed", type=int, help="of the episodes [the run's own]")
    parser.add_argument("--processes", type=int, help="environment processes [the run's own]")
    parser.add_argument(
        "--best-of", type=int, metavar="N", help="samples per decision [as in training]"
    )
    parser.add_argument("--video", metavar="FILE", help="film episodes into this .mp4 file")
    parser.add_argument("--video-episodes", type=int, default=2, help="episodes in the film [2]")
    parser.add_argument(
        "--diagnose",
        action="store_true",
        help="measure instead whether the critic's choice is worth drifting to",
    )
    parser.add_argument("--csv", metavar="FILE", help="with --diagnose: write the numbers here too")


def _diagnose(
    agent: Any, task: Any, options: argparse.Namespace, path: Path, seed: int, console: Any
) -> None:
    """Print a table of measurements with their intervals; interrupted, keep what is over."""
    from driftpolicy.progress import JobProgress
    from driftpolicy.runs.unfinished import Unfinished
    from driftpolicy.tasks.registry import make_environment
    from driftpolicy.training.diagnosis.diagnose import diagnose
    from driftpolicy.training.diagnosis.experience import Experience
    from driftpolicy.training.diagnosis.statistics import write_csv
    from driftpolicy.training.evaluation import episode_seeds
    from driftpolicy.training.seeding import RunKeys

    unfinished = Unfinished(path, "diagnosis", seed=seed)
    over = {
        number: Experience.from_record(record)
        for number, record in unfinished.load().items()
        if number < options.episodes
    }
    try:
        with JobProgress("diagnosing", options.episodes, unit="episodes") as progress:
            found = diagnose(
                agent,
                make_environment(task),
                episode_seeds(seed, options.episodes),
                key=RunKeys(seed).evaluate,
                progress=progress.update,
                over=over,
            )
    except KeyboardInterrupt:
        if over:
            unfinished.save({number: one.record() for number, one in over.items()})
        raise
    unfinished.drop()
    width = max(len(one.name) for one in found)
    for one in found:
        console.print(
            f"{one.name:{width}} {one.value:9.3f}  [{one.low:.3f}, {one.high:.3f}]  {one.meaning}",
            highlight=False,
            soft_wrap=True,
            markup=False,
        )
    if options.csv:
        write_csv(Path(options.csv), found)


def _evaluate(
    rule: Any,
    task: Any,
    unfinished: Any,
    *,
    processes: int,
    patience: float,
    seed: int,
    count: int,
    console: Any,
) -> list[Any]:
    """Run the episodes that an interrupted evaluation has left; interrupted, keep what is over."""
    from driftpolicy.envs.episodes import Episode
    from driftpolicy.progress import JobProgress
    from driftpolicy.training.evaluation import evaluate, evaluation_workers, seeds_matter
    from driftpolicy.training.seeding import RunKeys

    known = {
        number: Episode(**{name: value.item() for name, value in record.items()})
        for number, record in unfinished.load().items()
        if number < count
    }
    over = dict(known)

    def note(episodes: Any) -> None:
        over.update(episodes)
        progress.update(len(over))

    try:
        with (
            evaluation_workers(task, processes, patience) as workers,
            JobProgress("evaluating", count, unit="episodes") as progress,
        ):
            if task.custom and count > 1 and not seeds_matter(workers, seed):
                console.print(
                    "Warning: two seeds give the same first observation: if the environment "
                    f"ignores its seed, {count} episodes may be one",
                    style="yellow",
                    highlight=False,
                    soft_wrap=True,
                )
            progress.update(len(over))
            episodes = evaluate(
                rule,
                workers,
                seed=seed,
                episodes=count,
                key=RunKeys(seed).evaluate,
                known=known,
                progress=note,
            )
    except KeyboardInterrupt:
        if over:
            unfinished.save({number: one._asdict() for number, one in over.items()})
        raise
    unfinished.drop()
    return episodes


def run(options: argparse.Namespace) -> int:
    """Print the success rate with its 95% interval."""
    from driftpolicy.policy import find_checkpoint, is_remote
    from driftpolicy.runs.unfinished import Unfinished
    from driftpolicy.training.evaluation import success_interval, summarise
    from driftpolicy.training.restore import load_agent
    from driftpolicy.training.seeding import RunKeys
    from driftpolicy.training.video import film

    if options.csv and not options.diagnose:
        raise UserError("--csv is written with --diagnose: add it, or leave --csv out")
    for name in ("best_of", "processes", "video") if options.diagnose else ():
        if getattr(options, name) is not None:
            raise UserError(
                f"--diagnose measures the policy as trained, in one process, and films nothing: "
                f"leave --{name.replace('_', '-')} out"
            )
    for name in ("episodes", "video_episodes", "processes", "best_of"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UserError(f"--{name.replace('_', '-')} must be at least 1, not {value}")
    path = find_checkpoint(options.run_folder)
    with busy("loading the policy"):
        agent, checkpoint = load_agent(path)
    config, rule = checkpoint.config, agent.decision_rule
    task = config.configured_task(checkpoint.scaling)
    if is_remote(options.run_folder) and task.custom is not None:
        raise UserError(
            f"{task.name} is somebody's environment, and nothing from the Hub chooses code to run: "
            "load the policy in Python (driftpolicy.load_policy)"
        )
    seed = config.seed if options.seed is None else options.seed
    key = RunKeys(seed).evaluate
    if options.best_of:
        rule = dataclasses.replace(
            rule, config=dataclasses.replace(rule.config, best_of=options.best_of)
        )
    console = Console()
    heading = f"{config.method} on {config.task}, checkpoint of step {checkpoint.step:,}"
    console.print(Text(heading), soft_wrap=True)
    try:
        if options.diagnose:
            _diagnose(agent, task, options, path, seed, console)
            return 0
        episodes = _evaluate(
            rule,
            task,
            Unfinished(path, "evaluation", seed=seed, best_of=options.best_of),
            processes=options.processes or config.processes,
            patience=config.environment_timeout,
            seed=seed,
            count=options.episodes,
            console=console,
        )
    except KeyboardInterrupt:
        print("dfp: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    result = summarise(episodes)
    low, high = success_interval(sum(e.success for e in episodes), len(episodes))
    console.print(
        f"success {100 * result['success']:.1f}% (95% interval {100 * low:.0f} to "
        f"{100 * high:.0f}) over {len(episodes)} episodes, return {result['return']:.1f}, "
        f"length {result['length']:.0f} steps",
        highlight=False,
        soft_wrap=True,
    )
    if options.video:
        out = Path(options.video)
        with busy("filming"):
            filmed = film(
                rule,
                task,
                out,
                seed=seed,
                episodes=options.video_episodes,
                key=key,
                label=config.method,
                patience=config.environment_timeout,
            )
        outcomes = ", ".join("success" if e.success else "failure" for e in filmed)
        console.print(f"{out}: {outcomes}", highlight=False, soft_wrap=True)
    return 0
