"""Which files of the repository are on the site, and where: a page links them as on any checkout.

The pages of ``docs/`` link to results, examples and source with relative paths, which work wherever
the repository is read. The site has those files too: a text in Markdown as a page, a module of the
package on its page of the reference, any other program as a page that shows it, a folder as a page
that lists it, and everything else as it is.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS, PACKAGE = ROOT / "docs", ROOT / "src" / "driftpolicy"
SHOWN = {".py": "python", ".toml": "toml", ".cff": "yaml", ".yml": "yaml"}
"""Files that are shown as code, with their languages."""
_LINK = re.compile(r"(?P<text>\]\()(?P<path>(?!\w+:)[^)#\s]+)?(?P<anchor>#[^)\s]+)?\)")
_FENCE = re.compile(r"^ *```")


def module_of(path: Path) -> str:
    """Return the dotted name of a module of the package, or of a package that it is the file of."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(path: Path) -> str:
    """Return the folder or module directly below the package that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def address(path: Path) -> str:
    """Return where the site has a file or folder of the repository, with the heading if need be."""
    if path.is_dir() and (path / "README.md").is_file():
        path = path / "README.md"
    name = path.relative_to(ROOT).as_posix()
    if path == ROOT / "README.md":
        return "index.md"
    if path.is_relative_to(DOCS) and path.suffix in (".md", ".png"):
        return path.relative_to(DOCS).as_posix()
    if path.is_relative_to(PACKAGE) and path.suffix == ".py":
        return f"reference/python/{room_of(path)}.md#{module_of(path)}"
    if path.is_dir():
        return f"source/{name}/index.md"
    return f"source/{name}.md" if path.suffix in SHOWN else name


def linked(path: Path) -> Iterator[Path]:
    """Yield what a page of the repository links to, or a folder's page lists.

    Of the folders in a folder these are the ones with a text of their own.
    """
    if path.is_dir():
        inside = (each for each in sorted(path.iterdir()) if each.name[0] not in "._")
        yield from (each for each in inside if each.is_file() or (each / "README.md").is_file())
    elif path.suffix == ".md":
        for line in _prose(path.read_text(encoding="utf-8")):
            for match in _LINK.finditer(line):
                if match["path"]:
                    yield (path.parent / match["path"]).resolve()


def reachable(pages: Iterable[Path]) -> set[Path]:
    """Return the pages and all that can be reached from them, within the repository."""
    found: set[Path] = set()
    waiting = list(pages)
    while waiting:
        path = waiting.pop()
        if path.is_dir() and (path / "README.md").is_file():
            path = path / "README.md"
        if path.exists() and path not in found:
            found.add(path)
            waiting += linked(path)
    return found


def rewrite(text: str, path: Path, here: str) -> str:
    """Return a page's text with its links as the site has them.

    Args:
        text: in Markdown.
        path: of the page in the repository.
        here: the address of the page on the site.
    """

    def link(match: re.Match) -> str:
        if not match["path"]:
            return match[0]
        there, _, heading = address((path.parent / match["path"]).resolve()).partition("#")
        anchor = match["anchor"] or (f"#{heading}" if heading else "")
        return f"{match['text']}{relative(there, here)}{anchor})"

    return "\n".join(_prose(text, lambda line: _LINK.sub(link, line))) + "\n"


def relative(there: str, here: str) -> str:
    """Return the way from a page of the site to a file of the site."""
    return os.path.relpath(there, os.path.dirname(here) or ".")


def show(path: Path) -> str:
    """Return a page that shows a program, or lists a folder."""
    name, here = path.relative_to(ROOT).as_posix(), address(path)
    if path.is_dir():
        ways = ((each, relative(address(each), here)) for each in linked(path))
        listed = "".join(f"- [`{each.name}`]({way})\n" for each, way in ways)
        return f"# {name}\n\n{listed}"
    code = path.read_text(encoding="utf-8")
    return f"# {name}\n\n````{SHOWN[path.suffix]}\n{code}````\n"


def _prose(text: str, change: Callable[[str], str] | None = None) -> Iterator[str]:
    """Yield the lines outside of blocks of code; with ``change``, all lines, the others changed."""
    inside = False
    for line in text.splitlines():
        fence = bool(_FENCE.match(line))
        if change is None:
            if not fence and not inside:
                yield line
        else:
            yield line if fence or inside else change(line)
        inside ^= fence
