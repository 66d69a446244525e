"""All of points 1 to 6 on whatever device JAX finds, as one table and as JSON.

    uv sync --extra cuda && uv run python benchmarks/accelerator.py [--out results.json] [--small]

Each benchmark runs in a process of its own, one after the other. `--small` uses small networks and
few rounds: it proves the script, not the speed. On a CPU it takes some five minutes at the paper's
sizes.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent
SCRIPTS = {"offline": 1, "online": 2, "update": 3, "floor": 4, "seeds": 5, "evaluation": 6}
BRIEF = {
    "offline": ("--rounds", "2"),
    "online": ("--rounds", "2"),
    "update": ("--rounds", "2"),
    "floor": ("--rounds", "2", "--decisions", "2000"),
    "seeds": ("--rounds", "1"),
    "evaluation": ("--episodes", "4"),
}


def run(script: str, small: bool, file: Path) -> list[dict]:
    """The figures of a script; none if it fails, which is said."""
    command = [sys.executable, str(FOLDER / f"{script}.py"), "--json", str(file)]
    command += ["--small", *BRIEF[script]] if small else []
    print(f"{script} ...", file=sys.stderr, flush=True)
    done = subprocess.run(command, stdout=subprocess.DEVNULL)
    if done.returncode:
        print(f"{script} FAILED with status {done.returncode}", file=sys.stderr)
        return []
    return json.loads(file.read_text())


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", default="accelerator.json", metavar="FILE")
    parser.add_argument("--small", action="store_true", help="small networks, few rounds")
    options = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for script in SCRIPTS:
            found[script] = run(script, options.small, Path(folder) / f"{script}.json")
    import jax  # after the processes that need the device's memory
    from common import Figure, show

    figures = [figure for script in found for figure in found[script]]
    device = jax.devices()[0]
    told = {"device": device.device_kind, "backend": device.platform, "jax": jax.__version__}
    told |= {"python": platform.python_version(), "small": options.small}
    Path(options.out).write_text(json.dumps(told | {"figures": figures}, indent=2) + "\n")
    print(f"{told['device']} ({told['backend']}), jax {told['jax']}")
    show([Figure(**figure) for figure in figures])
    print(f"stored in {options.out}")
    return 0 if all(found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
