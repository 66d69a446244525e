"""``dfp eval``: evaluate a trained policy, and film it."""

import argparse
from pathlib import Path

from rich.console import Console
from rich.text import Text

from driftpolicy.errors import UserError


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("run_folder", metavar="RUN", help="a run's folder, or a checkpoint file")
    parser.add_argument("--episodes", type=int, default=50, help="episodes [50]")
    parser.add_argument("--seed", type=int, help="of the episodes [the run's own]")
    parser.add_argument("--processes", type=int, help="environment processes [the run's own]")
    parser.add_argument("--video", metavar="FILE", help="film episodes into this .mp4 file")
    parser.add_argument("--video-episodes", type=int, default=2, help="episodes in the film [2]")


def run(options: argparse.Namespace) -> int:
    """Print the success rate with its 95% interval."""
    from driftpolicy.runs.checkpoints import checkpoint_of
    from driftpolicy.scaling import Scaling
    from driftpolicy.training.evaluation import (
        evaluate,
        evaluation_workers,
        success_interval,
        summarise,
    )
    from driftpolicy.training.restore import RunKeys, load_agent
    from driftpolicy.training.video import film

    for name in ("episodes", "video_episodes", "processes"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UserError(f"--{name.replace('_', '-')} must be at least 1, not {value}")
    agent, config, meta = load_agent(checkpoint_of(Path(options.run_folder)))
    task = config.configured_task(Scaling.from_json(meta.get("scaling")))
    seed = config.seed if options.seed is None else options.seed
    key = RunKeys(seed).evaluate
    console = Console()
    heading = f"{config.method} on {config.task}, checkpoint of step {meta['step']:,}"
    console.print(Text(heading), soft_wrap=True)
    with evaluation_workers(task, options.processes or config.processes) as workers:
        episodes = evaluate(agent, workers, seed=seed, episodes=options.episodes, key=key)
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
        filmed = film(
            agent,
            task,
            out,
            seed=seed,
            episodes=options.video_episodes,
            key=key,
            label=config.method,
        )
        outcomes = ", ".join("success" if e.success else "failure" for e in filmed)
        console.print(f"{out}: {outcomes}", highlight=False, soft_wrap=True)
    return 0
