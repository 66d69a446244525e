"""How many kernels a GPU launches in a gradient step, counted on a machine without one.

    uv venv --python 3.12 counting
    uv pip install --python counting jax==0.11.2 jax-cuda12-plugin==0.11.2 jax-cuda12-pjrt==0.11.2 .
    JAX_PLATFORMS=cpu counting/bin/python benchmarks/gpu_kernels.py [--methods dfp] [--runs 1 5 15]

The blocks of `dfp train`, in the form for accelerators, are compiled for an H200 by XLA's
compile-only device, and the instructions that become kernels are counted: in the body of the loop
over gradient steps, and outside it, once a block. Nothing runs, so this says nothing of time; but a
step at the paper's sizes is bound by the number of its launches. A loop inside a step (a flow's
Euler steps) counts as often as it turns. `h200.txtpb` is XLA's description of the card. A program
takes up to a minute to compile. With `--table FILE` each row goes to the end of a table in Markdown
as soon as it is counted, and rows that the file has are left out: the same command goes on after a
stop.
"""

import argparse
import collections
import re
from itertools import product
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import topologies

from driftpolicy.agents import METHODS
from driftpolicy.agents.forms import to_accelerator
from driftpolicy.config import resolve
from driftpolicy.data.transitions import Rows
from driftpolicy.data.windows import WindowSpec
from driftpolicy.training.blocks import BlockInput, BlockSpec, blocks
from driftpolicy.training.restore import new_agent
from driftpolicy.training.seeding import RunKeys

TASK = "cube-double-play-singletask-task2-v0"
OBSERVATION, ACTION = 37, 5
STEPS = {"offline": 25, "online": 5}
FREE = {
    "parameter",
    "constant",
    "tuple",
    "get-tuple-element",
    "bitcast",
    "after-all",
    "opt-barrier",
}
HEAD = """\
| method | phase | runs | launches a gradient step | launches once a block |
| --- | --- | --- | --- | --- |
"""
STRUCTURE = {"while", "call", "conditional", "async-start", "async-done"}


def card() -> jax.sharding.Sharding:
    """One H200 that is not there."""
    text = (Path(__file__).parent / "h200.txtpb").read_text()
    topology = topologies.get_topology_desc(
        "h200", platform="cuda", topology="1x1x1", target_config=text
    )
    mesh = jax.sharding.Mesh(np.array(topology.devices[:1]), ("x",))
    return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())


def compile_block(method: str, phase: str, runs: int, overrides: dict) -> str:
    """The optimised program of one block of gradient steps, as text."""
    config = resolve(TASK, method, "paper", overrides)
    steps = STEPS[phase]

    def agents():
        agent = new_agent(config, OBSERVATION, ACTION, RunKeys(0).init)
        agent = to_accelerator(agent.start_online() if phase == "online" else agent)
        return jax.tree.map(lambda array: jnp.stack([array] * runs), agent)

    def array(shape: tuple[int, ...], dtype) -> Any:  # stands for an array
        return jax.ShapeDtypeStruct(shape, dtype)

    def rows(*shape: int) -> Rows:
        return Rows(
            observations=array((*shape, OBSERVATION), jnp.float32),
            actions=array((*shape, ACTION), jnp.float32),
            rewards=array(shape, jnp.float32),
            masks=array(shape, jnp.float32),
            last=array(shape, bool),
            starts=array(shape, jnp.int32),
        )

    online = phase == "online"
    given = BlockInput(
        replay=rows(runs, 1_000_007) if online else None,
        marks=array((runs, steps, 1, 3), jnp.int32) if online else None,
        key=jax.eval_shape(lambda: jax.random.split(jax.random.key(0), runs)),
        first=array((runs,), jnp.int32),
    )
    spec = BlockSpec(WindowSpec(config.agent.chunk_length, config.agent.discount), 256, steps)
    values = (jax.eval_shape(agents), rows(1_001_000), given, array((), jnp.int32))
    where = card()
    placed = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=where), values)
    text = blocks.lower(*placed, spec=spec, shared=(True,) * 6).compile().as_text()
    assert text is not None
    return text


def computations(text: str) -> dict[str, list[str]]:
    """The instructions of each computation of an optimised program."""
    found: dict[str, list[str]] = {}
    name = None
    for line in text.splitlines():
        if head := re.match(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\) -> .*\{$", line):
            name = head.group(1)
            found[name] = []
        elif line.startswith("}"):
            name = None
        elif name and " = " in line:
            found[name].append(line.strip())
    return found


def launches(text: str) -> tuple[collections.Counter, collections.Counter]:
    """Kernels by kind: of a gradient step, and of what is outside the loop over steps."""
    every = computations(text)
    times = _times(every)
    inside: collections.Counter = collections.Counter()
    outside: collections.Counter = collections.Counter()
    for name, lines in every.items():
        counter, count = (outside, 1) if name.startswith("main") else (inside, times.get(name, 0))
        for line in lines:
            match = re.search(r"= .*?[\])}] ([\w\-]+)\(", line)
            operation = match.group(1) if match else "?"
            if operation not in FREE | STRUCTURE:
                counter[_label(operation, line)] += count
    return +inside, +outside


def _times(every: dict[str, list[str]]) -> dict[str, int]:
    """How often each computation runs in a gradient step, by the trip counts of loops in it."""
    times: dict[str, int] = {}

    def visit(name: str, count: int) -> None:
        times[name] = times.get(name, 0) + count
        for line in every.get(name, []):
            if any(word in line for word in (" call(", "async", " while(")):
                trips = re.search(r'known_trip_count":\{"n":"(\d+)"', line)
                for inner in re.findall(r"(?:to_apply|calls|body)=%?([\w.\-]+)", line):
                    visit(inner, count * int(trips.group(1)) if trips else count)

    mains = [line for name, lines in every.items() if name.startswith("main") for line in lines]
    for step in re.findall(r"body=%?([\w.\-]+)", "\n".join(mains)):
        visit(step, 1)
    for name in every:
        if name.startswith("command_buffer"):
            times.setdefault(name, 1)
    return times


def _label(operation: str, line: str) -> str:
    target = re.search(r'custom_call_target="([^"]+)"', line) or re.search(r"kind=(\w+)", line)
    name = re.match(r"(?:ROOT )?%([A-Za-z_\-]+)", line)
    parts = [operation, target.group(1) if target else "", name.group(1) if name else ""]
    return " ".join(parts if operation == "fusion" else parts[:2])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--phases", nargs="+", default=list(STEPS), choices=list(STEPS))
    parser.add_argument("--runs", nargs="+", type=int, default=[1, 5, 15])
    parser.add_argument("--table", type=Path, help="a file that ends with a table, to be filled")
    parser.add_argument("--kinds", action="store_true", help="list the kernels by kind")
    parser.add_argument("--dump", metavar="FILE", help="write the last program there")
    options = parser.parse_args()
    known = options.table.read_text() if options.table and options.table.exists() else ""
    for line in HEAD.splitlines():
        show(line, None if HEAD in known else options.table)
    for method, phase, runs in product(options.methods, options.phases, options.runs):
        row = f"| {method} | {phase} | {runs} |"
        if row in known:
            continue
        text = compile_block(method, phase, runs, {})
        inside, outside = launches(text)
        show(f"{row} {inside.total()} | {outside.total()} |", options.table)
        if options.kinds:
            for label, count in inside.most_common(40):
                print(f"  {count:4d}  {label}")
            print("  outside:", dict(outside.most_common(12)))
        if options.dump:
            Path(options.dump).write_text(text)


def show(line: str, table: Path | None) -> None:
    """Print a line, and append it to the table if there is one."""
    print(line, flush=True)
    if table:
        with table.open("a") as file:
            file.write(line + "\n")


if __name__ == "__main__":
    main()
