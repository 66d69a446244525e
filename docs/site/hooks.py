"""What MkDocs calls while it builds the site: more files, their place in the menu, their links."""

import shutil
from pathlib import Path
from typing import Any

import reference
import repository
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_ORIGINS: dict[str, Path] = {}
"""By the address of a page, the text in the repository that it shows."""
_FOLDERS: set[Path] = set()
"""Folders with a page in HTML and what it needs, which the site has as they are."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the reference, and what the pages link to outside of ``docs/``."""
    written = [repository.DOCS / file.src_uri for file in files.documentation_pages()]
    entrances = [repository.ROOT / name for name in ("README.md", "CONTRIBUTING.md")]
    reached = repository.reachable([*written, *entrances, repository.ROOT / "CHANGELOG.md"])
    _ORIGINS.clear()
    _FOLDERS.clear()
    _FOLDERS.update(path.parent for path in reached if path.suffix == ".html")
    for path in sorted(reached):
        there, _, heading = repository.address(path).partition("#")
        if path.suffix == ".md":
            _ORIGINS[there] = path
        if heading or files.get_file_from_path(there):
            continue
        if path.suffix == ".md" or not there.endswith(".md"):
            files.append(File.generated(config, there, abs_src_path=str(path)))
        else:
            files.append(File.generated(config, there, content=repository.show(path)))
    for there, text in reference.pages():
        files.append(File.generated(config, there, content=text))
    config.nav = [_filled(entry, files) for entry in config.nav or []]
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Let the links of a page of the repository lead to pages of the site."""
    here = page.file.src_uri
    if here not in _ORIGINS:
        return markdown
    return repository.rewrite(markdown, _ORIGINS[here], here)


def on_post_build(config: MkDocsConfig) -> None:
    """Copy the folders that are pages by themselves."""
    for folder in _FOLDERS:
        there = Path(config.site_dir) / folder.relative_to(repository.ROOT)
        shutil.copytree(folder, there, dirs_exist_ok=True)


def _filled(entry: Any, files: Files) -> Any:
    """Return an entry of the menu, with a folder's pages in the place of the folder.

    An entry that ends in a slash stands for all pages below it that the build makes.
    """
    if isinstance(entry, dict):
        return {title: _filled(below, files) for title, below in entry.items()}
    if isinstance(entry, list):
        filled = (_filled(each, files) for each in entry)
        return [each for one in filled for each in (one if isinstance(one, list) else [one])]
    if not entry.endswith("/"):
        return entry
    below = [f.src_uri for f in files.documentation_pages() if f.src_uri.startswith(entry)]
    return sorted(below, key=lambda uri: (not uri.endswith(("index.md", "README.md")), uri))
