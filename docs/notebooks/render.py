"""Run the notebooks and write them as pages, with what they print and their figures.

    uv run python docs/notebooks/render.py            # all of them
    uv run python docs/notebooks/render.py field      # one

A notebook is a Python program whose cells begin with ``# %%``; editors and Jupytext open it as
one. It runs from the top of the checkout, in a folder of its own for what it writes.
"""

import contextlib
import io
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
CHECKOUT = FOLDER.parents[1]
_CELL = re.compile(r"^# %%(?P<kind>.*)\n", re.MULTILINE)


def notebooks() -> list[Path]:
    """Return the programs of the notebooks."""
    return sorted(path for path in FOLDER.glob("*.py") if path != Path(__file__).resolve())


def cells(path: Path) -> Iterator[tuple[bool, str]]:
    """Yield each cell of a notebook: whether it is code, and its text."""
    parts = _CELL.split(path.read_text(encoding="utf-8"))[1:]
    for kind, text in zip(parts[::2], parts[1::2], strict=True):
        if "[markdown]" in kind:
            yield False, re.sub(r"^# ?", "", text.strip(), flags=re.MULTILINE)
        else:
            yield True, text.strip()


def run(path: Path) -> str:
    """Run a notebook, save its figures, and return its page."""
    import matplotlib.pyplot as plt

    for old in FOLDER.glob(f"{path.stem}-*.png"):
        old.unlink()
    parts: list[str] = []
    names: dict[str, Any] = {"__name__": "__main__"}
    figures = 0
    for is_code, text in cells(path):
        if not is_code:
            parts.append(text)
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(text, str(path), "exec"), names)
        parts.append(f"```python\n{text}\n```")
        if output := printed.getvalue().rstrip():
            parts.append(f"```text\n{output}\n```")
        for number in plt.get_fignums():
            figures += 1
            name = f"{path.stem}-{figures}.png"
            save(plt.figure(number), FOLDER / name)
            parts.append(f"![{plt.figure(number).get_suptitle()}]({name})")
        plt.close("all")
    return "\n\n".join(parts) + "\n"


def save(figure: Any, path: Path) -> None:
    """Save a figure in few colours, a third of the size and the same to the eye."""
    from PIL import Image

    figure.savefig(path, dpi=110)
    flat = Image.open(path).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    flat.save(path, optimize=True)


def main() -> None:
    """Render the notebooks that the arguments name, or all."""
    import matplotlib

    matplotlib.use("agg")
    for path in notebooks():
        if sys.argv[1:] and path.stem not in sys.argv[1:]:
            continue
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            Path("results").symlink_to(CHECKOUT / "results")
            page = run(path)
        path.with_suffix(".md").write_text(page, encoding="utf-8")
        print(f"{path.with_suffix('.md')}: {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
