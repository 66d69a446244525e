"""From what a format finds to episodes that fit each other; what does not fit is named."""

import math
from collections import Counter
from collections.abc import Mapping

import numpy as np

from driftpolicy.data.episodes import not_finite
from driftpolicy.data.findings import accept, leave_out
from driftpolicy.errors import UserError, listing
from driftpolicy.tasks.custom.columns import WIDE, Columns, choose_columns
from driftpolicy.tasks.custom.recording import (
    Recording,
    Trajectory,
    require_numbers,
    trajectory,
)
from driftpolicy.tasks.custom.stored import ReadOptions, Stored, StoredEpisode


def assemble(where: str, kind: str, stored: Stored, options: ReadOptions) -> Recording:
    """Read a recording into episodes.

    Args:
        where: the file or folder, for messages.
        kind: what it is stored as.
        stored: what the format found.
        options: what the user says.

    Raises:
        UserError: naming the first episode that is broken, unless such are left out; if a column is
            not there, or no episode.
    """
    chosen = choose_columns(where, options.columns, stored.names, stored.defaults, stored.prefix)
    seen = chosen["observations"]
    after = tuple(stored.following[name] for name in seen if name in stored.following)
    if len(after) < len(seen) or not set(after) <= set(stored.names):
        after = ()
    used = {name for names in (*chosen.values(), after) for name in names}
    ignored = {*stored.names, *stored.others} - used - {*stored.bookkeeping}
    ignored -= set(stored.following.values())
    broken: dict[str, str] = {}
    read = []
    for episode in stored.episodes(used):
        try:
            parts = _parts(where, episode, chosen, options.columns)
            if stored.frames:
                parts = _with_last(where, episode, parts, after, options.ends_at_success)
            one = trajectory(where, episode.name, parts)
            if options.skip_broken and (reason := not_finite(one)):
                raise UserError(f"{where}: {reason}")
            read.append(one)
        except UserError as error:
            broken[episode.name] = str(error)
    read = _alike(where, read, broken, sorted(ignored))
    accept(leave_out(broken, skip=options.skip_broken, warn=options.warn))
    if not read:
        reason = f"; the first: {next(iter(broken.values()))}" if broken else ""
        raise UserError(f"{where} holds no {'good ' if broken else ''}episode{reason}")
    return Recording(
        kind,
        read,
        stored.control_rate,
        ignored=tuple(sorted(ignored)),
        columns=chosen,
        left_out=len(broken),
    )


def _parts(
    where: str, episode: StoredEpisode, chosen: Columns, stated: Columns
) -> dict[str, np.ndarray]:
    """Return the arrays of an episode, columns joined."""
    columns = episode.columns
    if isinstance(columns, UserError):
        raise columns
    parts = {}
    for part, names in chosen.items():
        missing = [name for name in names if name not in columns]
        if missing and part in WIDE:
            raise UserError(f"{where}: {episode.name} has no {listing(missing)}")
        if not missing:
            values = _join(where, episode.name, {name: columns[name] for name in names})
            require_numbers(where, episode.name, part, values)
            single = values.ndim == 1 and part in WIDE and part in stated
            parts[part] = values[:, None] if single else values
    return parts


def _with_last(
    where: str,
    episode: StoredEpisode,
    parts: dict[str, np.ndarray],
    after: tuple[str, ...],
    ends_at_success: bool,
) -> dict[str, np.ndarray]:
    """Return the arrays of frames with the observation that followed the last action.

    Where it is not stored, the last action is left out, or the last frame stands for it.
    """
    steps = len(parts["actions"])
    for part, values in parts.items():
        if len(values) != steps:
            raise UserError(
                f"{where}: {episode.name} has {len(values)} {part} and {steps} actions; needed is "
                "one for each action"
            )
    assert not isinstance(episode.columns, UserError)
    following = {name: episode.columns[name] for name in after if name in episode.columns}
    if len(following) < len(after) or not after:
        return _without_last(where, episode.name, parts, ends_at_success)
    last = _join(where, episode.name, following)
    require_numbers(where, episode.name, listing(after), last)
    last = _as_rows(last)
    if len(last) != steps or last.shape[1:] != parts["observations"].shape[1:]:
        raise UserError(
            f"{where}: {episode.name}: {listing(after)} have shape {last.shape}, the observations "
            f"{parts['observations'].shape}"
        )
    return parts | {"observations": np.concatenate([parts["observations"], last[-1:]])}


def _without_last(
    where: str, name: str, parts: dict[str, np.ndarray], ends_at_success: bool
) -> dict[str, np.ndarray]:
    """Return frames without the last action, unless the task ended there.

    What followed it was not recorded. Where the task ended nothing is learned from that, and the
    last frame stands for it. A success is an end where no terminations say otherwise.
    """
    ends = [parts[part] for part in ("terminations", "success") if part in parts]
    counted = ends if ends_at_success else ends[:1]
    terminated = any(bool(values[-1:].any()) for values in counted)
    steps = len(parts["actions"]) - (not terminated)
    if steps < 1:
        raise UserError(f"{where}: {name} has one frame; needed are two")
    seen = np.concatenate([parts["observations"], parts["observations"][-1:]])
    short = {part: values[:steps] for part, values in parts.items()}
    if terminated:
        short["terminations"] = short.get("terminations", np.zeros(steps, bool)).copy()
        short["terminations"][-1] = True
    return short | {"observations": seen[: steps + 1]}


def _join(where: str, episode: str, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return columns side by side; a column of single numbers is one that is a number wide."""
    if len(columns) == 1:
        return np.atleast_1d(next(iter(columns.values())))
    lengths = {name: len(values) if values.ndim else 0 for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        text = ", ".join(f"{name} {count:,}" for name, count in lengths.items())
        raise UserError(f"{where}: {episode}: its columns differ in rows: {text}")
    for name, values in columns.items():
        if values.ndim > 2 or values.dtype.kind not in "bfiu":
            raise UserError(
                f"{where}: {episode}: {name} has shape {values.shape} of {values.dtype}, not [T, n]"
                " of numbers"
            )
    return np.concatenate([_as_rows(values) for values in columns.values()], axis=1)


def _as_rows(values: np.ndarray) -> np.ndarray:
    """Return an array as ``[T, n]``, also for T = 0."""
    return values.reshape(len(values), math.prod(values.shape[1:]))


def _alike(
    where: str, trajectories: list[Trajectory], broken: dict[str, str], ignored: list[str]
) -> list[Trajectory]:
    """Return the episodes that are like most of them in their widths and in what they hold.

    What is wrong with the others is added to ``broken``.
    """

    def form(one: Trajectory) -> tuple[int, int, frozenset[str]]:
        return one.observations.shape[1], one.actions.shape[1], one.parts

    if not trajectories:
        return []
    usual = Counter(map(form, trajectories)).most_common(1)[0][0]
    model = next(one for one in trajectories if form(one) == usual)
    kept = []
    for one in trajectories:
        if form(one) == usual:
            kept.append(one)
            continue
        wide = {what: (getattr(one, what).shape[1], getattr(model, what).shape[1]) for what in WIDE}
        what = next((what for what, (here, there) in wide.items() if here != there), None)
        if what:
            reason = f"{one.name} has {what} of {wide[what][0]} numbers, {model.name} of "
            broken[one.name] = f"{where}: {reason}{wide[what][1]}"
            continue
        part = min(one.parts ^ model.parts)
        has, lacks = (one, model) if part in one.parts else (model, one)
        beside = f"; there too, but not read: {listing(ignored)}" if ignored else ""
        broken[one.name] = (
            f"{where}: {part} are stored for some of its episodes only: {has.name} has them, "
            f"{lacks.name} has not{beside}"
        )
    return kept
