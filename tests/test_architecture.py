"""The source tree keeps the rules of docs/architecture.md, and each rule can be broken."""

from pathlib import Path

import pytest

from tests import architecture

CHECKOUT = Path(__file__).parents[1]
MODULES = architecture.read(CHECKOUT / "src" / "driftpolicy")


def none(problems: list[str]) -> None:
    assert not problems, "\n".join([f"{len(problems)} problems:", *problems])


def test_imports_go_downwards():
    none(architecture.upward(MODULES))


def test_no_room_has_a_circle():
    none(architecture.circles(MODULES))


def test_names_are_tested_in_their_registries_only():
    from driftpolicy.agents import METHODS
    from driftpolicy.tasks.registry import BENCHMARKS, task_names

    none(architecture.tested_names(MODULES, {*METHODS, *BENCHMARKS, *task_names()}))


def test_docstrings_stand_by_themselves():
    none(architecture.docstrings(MODULES))


def test_public_names_are_in_the_words_of_the_field():
    none(architecture.dialect(MODULES))


def test_files_fit_into_a_head():
    none(architecture.sizes(MODULES))


def test_what_is_cited_exists():
    none(architecture.citations(MODULES, CHECKOUT))


def test_methods_of_agents_are_abstract_or_final():
    none(architecture.overrides(MODULES, "agents"))


SOUND = {
    "__init__.py": '"""P."""\n',
    "errors.py": '"""E."""\n',
    "agents/__init__.py": '"""A."""\nfrom driftpolicy.agents.base import Agent\n',
    "agents/base.py": '"""B."""\n\n\nclass Agent:\n    """An agent."""\n',
    "cli/train.py": '"""C."""\nfrom driftpolicy.agents import Agent\n',
}


def tree(root: Path, files: dict[str, str]) -> list[architecture.Module]:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return architecture.read(root)


def check(modules: list[architecture.Module]) -> list[str]:
    return [
        *architecture.upward(modules),
        *architecture.circles(modules),
        *architecture.tested_names(modules, {"dfp", "ogbench"}),
        *architecture.docstrings(modules),
        *architecture.dialect(modules),
        *architecture.sizes(modules),
        *architecture.citations(modules, CHECKOUT),
        *architecture.overrides(modules, "agents"),
    ]


def test_a_sound_tree_passes(tmp_path):
    assert check(tree(tmp_path, SOUND)) == []


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("errors.py", "import driftpolicy.agents.base", "errors.py:2 imports driftpolicy.agents"),
        ("errors.py", "def f():\n    from driftpolicy import cli", "errors.py:3 imports"),
        ("errors.py", "if TYPE_CHECKING:\n    from .agents import Agent", "errors.py:3 imports"),
        ("errors.py", "import_module('driftpolicy.cli.train')", "which is above it"),
        ("elsewhere.py", "x = 1", "elsewhere.py is in no room of the table"),
        ("agents/base.py", "from .dfp import DFP", "driftpolicy.agents.base -> driftpolicy.agents"),
        ("cli/run.py", "method == 'dfp'", "cli/run.py:2 tests for 'dfp'"),
        ("cli/run.py", "method in ('bc', 'dfp')", "cli/run.py:2 tests for 'dfp'"),
        ("cli/run.py", "match x:\n    case 'ogbench' | 'y':\n        pass", "for 'ogbench'"),
        ("cli/run.py", "x.startswith('dfp')", "tests for 'dfp'"),
        ("cli/run.py", "cell.task.split('-')", "takes a name apart: cell.task.split('-')"),
        ("cli/run.py", "task.name.partition('-')", "takes a name apart"),
        ("cli/run.py", "def run():\n    pass", "cli/run.py::run has no docstring"),
        ("cli/run.py", 'def run():\n    """The run."""', "begins with 'The' instead of a verb"),
        ("cli/run.py", 'def run():\n    """Read data of one\'s own."""', "of one's own"),
        ("cli/run.py", 'class OwnTask:\n    """A task."""', "cli/run.py: OwnTask"),
        ("cli/run.py", 'class Task:\n    """A task."""\n    own: int = 0', "cli/run.py: own"),
        ("cli/run.py", "\n" * 319, "cli/run.py has 321 lines"),
        ("cli/run.py", "# See docs/nowhere.md.", "cites docs/nowhere.md, which does not exist"),
        ("cli/run.py", "# See /work/notes.", "cites /work/notes"),
        (
            "agents/base.py",
            'class A:\n    """A."""\n    def f(self):\n        """Do."""\n\n'
            'class B(A):\n    """B."""\n    def f(self):\n        """Do."""',
            "agents/base.py::B.f overrides A.f",
        ),
    ],
)
def test_every_rule_can_be_broken(tmp_path, name, text, problem):
    files = SOUND | {
        "agents/dfp.py": '"""D."""\nfrom driftpolicy.agents.base import Agent\n',
        name: f'"""M."""\n{text}\n',
    }
    problems = check(tree(tmp_path, files))
    assert any(problem in each for each in problems), problems


def test_an_abstract_method_may_be_implemented(tmp_path):
    text = (
        '"""B."""\n\n\nclass A:\n    """A."""\n    @abstractmethod\n    def f(self):\n'
        '        """Do."""\n\n\nclass B(A):\n    """B."""\n    def f(self):\n        """Do."""\n'
    )
    assert check(tree(tmp_path, SOUND | {"agents/both.py": text})) == []


def test_a_family_may_test_its_own_names(tmp_path):
    text = '"""O."""\nname == "ogbench"\n'
    assert check(tree(tmp_path, SOUND | {"tasks/ogbench/dataset.py": text})) == []
