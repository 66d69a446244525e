"""``dfp export``: write a trained policy as an ONNX file."""

import argparse
from pathlib import Path

from driftpolicy.errors import UserError
from driftpolicy.progress import JobProgress, format_bytes


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "run_folder", metavar="RUN", help="a run's folder, a checkpoint file, or hf://owner/name"
    )
    parser.add_argument("file", metavar="FILE", help="the model to write, such as policy.onnx")
    parser.add_argument(
        "--batch",
        default="dynamic",
        metavar="N",
        help="observations per decision, or: dynamic, any number of them [dynamic]",
    )
    parser.add_argument(
        "--opset", type=int, default=18, metavar="N", help="version of ONNX's operators [18]"
    )
    parser.add_argument(
        "--weights", metavar="FILE", help="write the parameters too, in safetensors' format"
    )
    parser.add_argument(
        "--states",
        type=int,
        default=10_000,
        metavar="N",
        help="states in which the model must agree with JAX [10000]",
    )


def run(options: argparse.Namespace) -> int:
    """Export, and say how well the model agrees."""
    batch = None
    if options.batch != "dynamic":
        if not options.batch.isdecimal() or int(options.batch) < 1:
            raise UserError(f"--batch must be dynamic or a number above 0, not {options.batch}")
        batch = int(options.batch)
    if options.states < 1:
        raise UserError(f"--states must be at least 1, not {options.states}")
    from driftpolicy.policy import find_checkpoint, is_remote

    try:
        from driftpolicy.export.exporting import export_policy
    except ImportError as error:
        raise UserError(f"dfp export needs {error.name}: uv sync --extra export") from None

    remote = is_remote(options.run_folder)
    path = find_checkpoint(options.run_folder) if remote else Path(options.run_folder)
    with JobProgress("comparing with JAX", options.states, unit="states") as progress:
        exported = export_policy(
            path,
            Path(options.file),
            batch=batch,
            opset=options.opset,
            weights=Path(options.weights) if options.weights else None,
            states=options.states,
            progress=progress.update,
        )
    m = exported.metadata
    count = "any batch" if batch is None else f"a batch of {batch}"
    print(
        f"{options.file}: {m.method} on {m.task}, checkpoint of step {m.step:,}; "
        f"{format_bytes(exported.size)}, opset {options.opset}, {count}\n"
        f"observation [{m.observation_dim}] and noise {m.noise_shape} -> chunk "
        f"[{m.chunk_length}, {m.action_dim}]"
        + (f" at {m.control_rate:g} Hz" if m.control_rate else "")
        + f"\n{exported.agreement.words()}"
    )
    return 0
