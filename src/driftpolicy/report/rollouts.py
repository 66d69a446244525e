"""The methods' rollouts of a task, side by side."""

import dataclasses
import subprocess
from collections.abc import Sequence
from pathlib import Path

from driftpolicy.errors import UserError
from driftpolicy.report.results import Result
from driftpolicy.tasks.task import Task

_COLUMNS = 4
_CLIP = 360  # pixels of width in the grid
_RATE = 20


@dataclasses.dataclass(frozen=True)
class Rollout:
    """A run's film."""

    label: str
    seed: int
    path: Path


def choose_rollouts(results: Sequence[Result], task: Task) -> list[Rollout]:
    """Return a film of each method on a task, of the same seed as far as there is one.

    Films of one seed begin alike: the seed decides how an evaluation episode starts.
    """
    films: dict[str, dict[int, Path]] = {}
    for result in results:
        if result.cell.task == task:
            by_seed = films.setdefault(result.cell.label, {})
            if film := result.film:
                by_seed[result.cell.seed] = film
    seeds = sorted({seed for by_seed in films.values() for seed in by_seed})
    if not seeds:
        return []
    common = max(seeds, key=lambda seed: sum(seed in by_seed for by_seed in films.values()))
    rollouts = []
    for label, by_seed in films.items():
        if by_seed:
            seed = common if common in by_seed else min(by_seed)
            rollouts.append(Rollout(label, seed, by_seed[seed]))
    return rollouts


def grid_video(clips: Sequence[Path], out: Path) -> None:
    """Tile films, at most four in a row; one that is over stays at its last frame.

    Raises:
        UserError: if a clip cannot be read or ``out`` cannot be written.
    """
    if len(clips) < 2:
        raise ValueError("a grid needs at least two clips")
    lengths = [_seconds(clip) for clip in clips]
    filters, places = [], []
    for index, length in enumerate(lengths):
        wait = max(lengths) - length
        filters.append(
            f"[{index}:v]fps={_RATE},scale={_CLIP}:-2,setsar=1,"
            f"tpad=stop_mode=clone:stop_duration={wait:.3f}[v{index}]"
        )
        column, row = index % _COLUMNS, index // _COLUMNS
        x = "+".join(["w0"] * column) or "0"
        y = "+".join(["h0"] * row) or "0"
        places.append(f"{x}_{y}")
    names = "".join(f"[v{index}]" for index in range(len(clips)))
    grid = f"{names}xstack=inputs={len(clips)}:layout={'|'.join(places)}:fill=white[grid]"
    inputs = [word for clip in clips for word in ("-i", str(clip))]
    graph = ("-filter_complex", ";".join([*filters, grid]), "-map", "[grid]")
    _ffmpeg(out, *inputs, *graph, "-pix_fmt", "yuv420p", "-movflags", "+faststart")


def first_frame(clip: Path, out: Path) -> None:
    """Write the first frame of a film as a JPEG.

    Raises:
        UserError: if the film cannot be read or ``out`` cannot be written.
    """
    _ffmpeg(out, "-i", str(clip), "-frames:v", "1", "-update", "1", "-q:v", "4")


def _ffmpeg(out: Path, *arguments: str) -> None:
    """Run the ffmpeg that comes with imageio; the ending of ``out`` names the format."""
    import imageio_ffmpeg

    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", *arguments, str(out)]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(command, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["ffmpeg failed"])[-1]
        raise UserError(f"cannot make {out}: {reason}") from None
    except OSError as error:
        raise UserError(f"cannot make {out}: {error.strerror}") from None


def _seconds(clip: Path) -> float:
    import imageio_ffmpeg

    try:
        frames, _ = imageio_ffmpeg.count_frames_and_secs(str(clip))
    except (RuntimeError, OSError):
        raise UserError(f"{clip} is no film that can be read") from None
    return float(frames or 0) / _RATE
