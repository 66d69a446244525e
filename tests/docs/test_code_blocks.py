"""Every block of code on the pages does what it shows.

The quick tests read all of them and parse every command's arguments. The slow ones run them, page
by page and in order, at the small size that ``tests/docs/commands.py`` has for each command.
"""

import re

import pytest

from tests.docs import commands
from tests.docs.pages import CHECKOUT, PAGES, Block, blocks, prose
from tests.docs.workshop import VALUES, workshop

LANGUAGES = {"bash", "python", "toml", "text"}
BLOCKS = list(blocks())
PROGRAMS = [block for block in BLOCKS if block.language != "text" and block.reason is None]
WITH_RUNS = [page for page in PAGES if any(CHECKOUT / block.page == page for block in PROGRAMS)]


def test_every_block_says_its_language_and_few_are_not_run():
    assert {block.language for block in BLOCKS} <= LANGUAGES
    assert [str(block) for block in BLOCKS if block.reason is not None] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_command_hides_outside_of_the_blocks(page):
    assert not re.findall(r"^ {4,}(?:\$ )?(?:uv|dfp|pip|bash|python) .*", prose(page), re.MULTILINE)


@pytest.mark.parametrize("block", PROGRAMS, ids=str)
def test_a_block_can_be_read(block, monkeypatch):
    if block.language == "python":
        compile(block.text, str(block), "exec")
    if block.language == "bash":
        for words in commands.commands(block.text):
            arguments = commands.dfp(commands.fill(words, VALUES))
            if arguments is None:
                commands.check(words)
            else:
                commands.require(arguments)
                commands.parse(arguments, monkeypatch)
                commands.parse(commands.small(arguments), monkeypatch)


@pytest.mark.parametrize(
    "text",
    [
        "uv run dfp train cube-double-play-singletask-task2-v0 --no-such-flag 3",
        "uv run dfp dance",
        "uv sync --extra nothing",
        "uv run pytest -m hard",
        "uv run python examples/gone.py",
        "pip install nonsense",
        "rm -rf build",
    ],
)
def test_a_wrong_command_is_noticed(text, monkeypatch):
    block = Block("page.md", 1, "bash", text, None)
    with pytest.raises((AssertionError, KeyError, OSError, ImportError, pytest.fail.Exception)):
        test_a_block_can_be_read(block, monkeypatch)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with workshop(tmp_path_factory.mktemp("workshop")) as made:
        made.shell(["uv", "run", "dfp", "train", "--preset", "quickstart"])
        yield made


@pytest.mark.slow
@pytest.mark.simulator
@pytest.mark.parametrize("page", WITH_RUNS, ids=lambda page: page.name)
def test_the_blocks_of_a_page_run(page, place):
    place.begin()
    for block in PROGRAMS:
        if CHECKOUT / block.page == page:
            print(f"--- {block}")
            if block.language == "bash":
                for words in commands.commands(block.text):
                    commands.require(words)
            place.run(block)
