"""Damage as it happens to files: to their bytes, their arrays, their JSON, or a whole folder.

Each function takes a generator of random numbers, so that a seed decides what is done, and returns
what was done in words beside the result.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

STRANGE = (None, -1, 0, 10**30, -5.0, float("nan"), "", "\x00", "x" * 5000, [], {}, [None], True)
"""What somebody's own script may store where a name, a number or a list belongs."""


def mutate_bytes(data: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """Flip, cut, insert, blank or repeat some bytes."""
    if not data:
        return "put a byte into nothing", b"\x00"
    start = int(rng.integers(len(data)))
    count = int(min(len(data) - start, 2 ** rng.integers(0, 10)))
    match rng.integers(6):
        case 0 | 1:
            changed = bytearray(data)
            places = rng.integers(len(data), size=int(rng.integers(1, 9)))
            for place in places:
                changed[place] ^= 1 << int(rng.integers(8))
            return f"flipped bits in bytes {sorted(places.tolist())}", bytes(changed)
        case 2:
            return f"cut off after {start} bytes", data[:start]
        case 3:
            return f"blanked {count} bytes from {start}", (
                data[:start] + bytes(count) + data[start + count :]
            )
        case 4:
            noise = rng.bytes(count)
            return f"inserted {count} bytes at {start}", data[:start] + noise + data[start:]
        case _:
            return f"repeated {count} bytes from {start}", (
                data[:start] + 2 * data[start : start + count] + data[start + count :]
            )


def mutate_arrays(
    arrays: Mapping[str, np.ndarray], rng: np.random.Generator
) -> tuple[str, dict[str, np.ndarray]]:
    """Drop, rename, copy, reshape, shorten, convert or poison one array."""
    name = str(rng.choice(sorted(arrays)))
    changed = dict(arrays)
    array = changed.pop(name)
    match rng.integers(8):
        case 0:
            return f"dropped {name}", changed
        case 1:
            return f"renamed {name}", changed | {name[:-1] + "_": array}
        case 2:
            other = str(rng.choice(sorted(arrays)))
            return f"put {other} into {name}", changed | {name: arrays[other]}
        case 3:
            return f"flattened {name}", changed | {name: array.reshape(-1)}
        case 4:
            rows = int(rng.integers(len(array) + 1)) if array.ndim else 0
            return f"left {rows} rows of {name}", changed | {name: np.atleast_1d(array)[:rows]}
        case 5:
            kind = str(rng.choice(["U3", "S3", "f2", "c8", "i1", "M8[s]"]))
            with np.errstate(all="ignore"):
                return f"made {name} {kind}", changed | {name: array.astype("f4").astype(kind)}
        case 6:
            array = np.atleast_1d(array).astype(np.float64)
            value = float(rng.choice([np.nan, np.inf, 0.3, 1e300]))
            if array.size:
                array.reshape(-1)[int(rng.integers(array.size))] = value
            return f"put {value} into {name}", changed | {name: array}
        case _:
            return f"added a dimension to {name}", changed | {name: array[None]}


def mutate_json(value: Any, rng: np.random.Generator) -> tuple[str, Any]:
    """Drop, rename or replace one entry, at any depth."""
    if isinstance(value, dict) and value:
        key = str(rng.choice(sorted(value)))
        rest = {name: item for name, item in value.items() if name != key}
        inside = value[key]
        if isinstance(inside, dict | list) and inside and rng.random() < 0.6:
            what, new = mutate_json(inside, rng)
            return f"{key}: {what}", rest | {key: new}
        match rng.integers(3):
            case 0:
                return f"dropped {key}", rest
            case 1:
                return f"renamed {key}", rest | {key + "_": inside}
            case _:
                strange = STRANGE[int(rng.integers(len(STRANGE)))]
                return f"{key} = {str(strange)[:20]!r}", rest | {key: strange}
    if isinstance(value, list) and value and rng.random() < 0.8:
        place = int(rng.integers(len(value)))
        what, new = mutate_json(value[place], rng)
        return f"[{place}] {what}", [*value[:place], new, *value[place + 1 :]]
    strange = STRANGE[int(rng.integers(len(STRANGE)))]
    return f"became {str(strange)[:20]!r}", strange


def mutate_folder(folder: Path, rng: np.random.Generator) -> str:
    """Damage one file of a folder: remove it, its bytes, or an entry of its JSON."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    file = files[int(rng.integers(len(files)))]
    name = file.relative_to(folder)
    chance = rng.random()
    if chance < 0.1:
        file.unlink()
        return f"removed {name}"
    if file.suffix == ".json" and chance < 0.7:
        what, value = mutate_json(json.loads(file.read_text()), rng)
        file.write_text(json.dumps(value))
        return f"{name}: {what}"
    what, data = mutate_bytes(file.read_bytes(), rng)
    file.write_bytes(data)
    return f"{name}: {what}"
