"""The meta data of a checkpoint: which there are, and of which types."""

from collections.abc import Mapping
from typing import Any

from driftpolicy.fields import convert, fits

_KINDS: dict[str, Any] = {
    "config": str,
    "data": str,
    "step": int,
    "online": bool,
    "wall_s": float,
    "last_eval": dict | None,
    "means": dict,
    "csv": dict,
    "dims": tuple[int, ...],
    "control_rate": float | None,
}
"""The types of the meta data."""
_ALWAYS = ("config", "data", "step", "online", "dims")


def require_kinds(meta: Mapping[str, Any]) -> None:
    """Raise an error unless the meta data have the types that a checkpoint gives them.

    Raises:
        KeyError: for what is missing.
        TypeError: for what has another type.
        ValueError: if the numbers of the scaling are not as many as those of an observation or an
            action.
    """
    for name, kind in _KINDS.items():
        if name in _ALWAYS or name in meta:
            value = convert(meta[name], kind)
            if not fits(value, kind):
                raise TypeError(f"its {name} is {value!r}")
    means = meta.get("means") or {"sums": {}, "counts": {}}
    for part, kind in (("sums", float), ("counts", int)):
        if not fits(tuple(means[part].values()), tuple[kind, ...]):
            raise TypeError(f"its means have {part} {means[part]!r}")
    if set(means["sums"]) != set(means["counts"]):
        raise TypeError("its means have other sums than counts")
    sizes = dict(zip(("observation", "action"), meta["dims"], strict=True))
    for name, values in (meta.get("scaling") or {}).items():
        if len(values) != sizes[name.partition("_")[0]]:
            raise ValueError(f"its scaling has {len(values)} numbers of {name}")
