"""Choose the versions that this repository is run with, and write them where uv and pip read them.

    python .ci/pin.py            # the newest that the ranges in pyproject.toml allow
    python .ci/pin.py --keep     # those of uv.lock, as the last `uv run` resolved them

The list goes into pyproject.toml, for uv, and into constraints.txt, for pip. It names versions and
no addresses: a lock file would record the registry that one machine downloads from.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT, CONSTRAINTS = ROOT / "pyproject.toml", ROOT / "constraints.txt"
LIST = re.compile(r"(?<=^constraint-dependencies = \[\n).*?(?=^\]$)", re.MULTILINE | re.DOTALL)
HEAD = """\
# The versions that the tests and results of this repository were made with, as written by
# .ci/pin.py. For pip: pip install -c constraints.txt . (uv reads the same list in pyproject.toml.)
"""
EXPORT = (
    *("uv", "export", "--frozen", "--all-extras", "--no-emit-project"),
    *("--no-hashes", "--no-annotate", "--no-header"),
)


def main() -> None:
    """Write both lists."""
    if "--keep" not in sys.argv[1:]:
        PROJECT.write_text(LIST.sub("", PROJECT.read_text()))
        subprocess.run(["uv", "lock", "--upgrade"], cwd=ROOT, check=True)
    done = subprocess.run(EXPORT, cwd=ROOT, check=True, capture_output=True, text=True)
    versions = done.stdout.splitlines()
    lines = "".join(f'    "{version}",\n' for version in versions)
    PROJECT.write_text(LIST.sub(lambda _: lines, PROJECT.read_text()))
    CONSTRAINTS.write_text(HEAD + "\n".join(versions) + "\n")


if __name__ == "__main__":
    main()
