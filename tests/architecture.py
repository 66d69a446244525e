"""The rules of docs/architecture.md, each a function from a source tree to a list of problems.

They read the abstract syntax and import nothing, so that the tests can also hand them small trees
in which a rule is broken on purpose. An import counts wherever it stands: at the top of a file,
inside a function, or under ``TYPE_CHECKING``.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "driftpolicy"

# Lowest first: a module may import from its room and from those that stand before it here. The
# package's __init__ is the room "driftpolicy".
ROOMS = [
    *("errors", "fields", "flags", "importing", "batch", "scaling", "progress", "versions"),
    *("drifting", "networks"),
    *("agents", "data", "envs", "tasks", "presets", "config", "settings"),
    *("runs", "training", "hub", "policy", "api"),
    *("suites", "report", "deploy", "export", "driftpolicy", "cli"),
]
# Reading the version is no dependency on what the package offers.
HARMLESS = {f"{PACKAGE}.__version__"}
REGISTRIES = ("agents/__init__.py", "agents/registry.py", "tasks/__init__.py", "tasks/registry.py")
FAMILIES = re.compile(r"tasks/\w+/")
"""Where a name of a task family may be tested: in the folder of the family itself."""

LINES = 320
DIALECT = {"own", "told", "said", "found"}
PHRASES = ("of one's own", "of somebody's own", "said in one line", "as it is told")
OPENERS = {
    *("a", "an", "the", "what", "whether", "how", "where", "which", "who", "that"),
    *("as", "by", "for", "from", "in", "of", "on", "one", "see", "to", "with"),
}
"""A function's docstring that begins so continues the function's name."""
ELSEWHERE = re.compile(r"(?<![\w.])/(?:work|root|home|tmp|mnt)/\w+")
SPLITTERS = {
    *("split", "rsplit", "partition", "rpartition"),
    *("startswith", "endswith", "removeprefix", "removesuffix"),
}
NAMES = re.compile(r"(?:^|\.)(?:task|method|benchmark|dataset|domain|family|scene|task\.name)$")
"""Expressions that hold the name of something which has a registry."""


@dataclass(frozen=True)
class Module:
    """A parsed file."""

    path: str  # relative to the package's folder
    text: str
    tree: ast.Module

    @property
    def name(self) -> str:
        """Return the dotted name."""
        parts = [PACKAGE, *self.path.removesuffix(".py").split("/")]
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def room(self) -> str:
        """Return the first part of the dotted name below the package."""
        return room_of(self.name)


def read(root: Path) -> list[Module]:
    """Parse every file below the folder of the package."""
    texts = {str(path.relative_to(root)): path.read_text() for path in sorted(root.rglob("*.py"))}
    return [Module(path, text, ast.parse(text, path)) for path, text in texts.items()]


def room_of(name: str) -> str:
    """Return the room of a dotted name."""
    return [*name.split("."), PACKAGE][1]


def imports(module: Module, known: set[str]) -> list[tuple[int, str]]:
    """Return the line and the dotted name of every module of ours that a module imports."""
    package = module.name.split(".")
    if not module.path.endswith("__init__.py"):
        package = package[:-1]
    found = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            names = [f"{source}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            names = [each.value for each in node.args if isinstance(each, ast.Constant)]
        else:
            continue
        for name in names:
            if name.split(".")[0] != PACKAGE or name in HARMLESS:
                continue
            while name not in known and "." in name:
                name = name.rpartition(".")[0]
            found.add((node.lineno, name))
    return sorted(found)


def upward(modules: list[Module]) -> list[str]:
    """Imports must go downwards through the rooms, and every module must be in a room."""
    known = {module.name for module in modules}
    problems = []
    for module in modules:
        if module.room not in ROOMS:
            problems.append(f"{module.path} is in no room of the table")
            continue
        for line, name in imports(module, known):
            room = room_of(name)
            if room in ROOMS and ROOMS.index(room) > ROOMS.index(module.room):
                problems.append(f"{module.path}:{line} imports {name}, which is above it")
    return problems


def circles(modules: list[Module]) -> list[str]:
    """No module of a room may import itself by way of others."""
    known = {module.name for module in modules}
    edges = {
        module.name: sorted(
            {
                name
                for _, name in imports(module, known)
                if room_of(name) == module.room and name != module.name
            }
        )
        for module in modules
    }
    problems, finished = [], set()

    def visit(name: str, way: list[str]) -> None:
        if name in way:
            problems.append(" -> ".join([*way[way.index(name) :], name]))
        elif name not in finished:
            for other in edges[name]:
                visit(other, [*way, name])
            finished.add(name)

    for name in edges:
        visit(name, [])
    return problems


def tested_names(modules: list[Module], names: Iterable[str]) -> list[str]:
    """A name that a registry holds may be tested, or taken apart, only there."""
    names = set(names)
    problems = []
    for module in modules:
        if module.path in REGISTRIES or FAMILIES.match(module.path):
            continue
        for node in ast.walk(module.tree):
            where = f"{module.path}:{getattr(node, 'lineno', 0)}"
            literals: list[ast.AST] = []
            if isinstance(node, ast.Compare):
                literals = [node.left, *node.comparators]
            elif isinstance(node, ast.MatchValue):
                literals = [node.value]
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                receiver = ast.unparse(node.func.value)
                if node.func.attr in SPLITTERS:
                    literals = list(node.args)
                    if NAMES.search(receiver):
                        problems.append(f"{where} takes a name apart: {ast.unparse(node)}")
            problems += [
                f"{where} tests for {value!r}"
                for literal in literals
                for value in constants(literal)
                if value in names
            ]
    return problems


def constants(node: ast.AST) -> Iterator[str]:
    """Yield the strings that an operand is, or holds as a tuple, a list or a set."""
    elements = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else [node]
    for element in elements:
        if isinstance(element, ast.Constant) and isinstance(element.value, str):
            yield element.value


Definition = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def decorated(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, word: str) -> bool:
    """Return whether one of the decorators ends with a word."""
    return any(ast.unparse(each).endswith(word) for each in node.decorator_list)


def definitions(module: Module) -> Iterator[tuple[str, Definition]]:
    """Yield the public name and the node of everything that must have a docstring."""

    def inside(node: ast.Module | ast.ClassDef, prefix: str) -> Iterator[tuple[str, Definition]]:
        for child in node.body:
            if not isinstance(child, Definition) or child.name.startswith("_"):
                continue
            if decorated(child, "overload") or decorated(child, "setter"):
                continue
            yield prefix + child.name, child
            if isinstance(child, ast.ClassDef):
                yield from inside(child, f"{prefix}{child.name}.")

    yield module.name, module.tree
    yield from inside(module.tree, "")


def docstrings(modules: list[Module]) -> list[str]:
    """Everything public must have a docstring; that of a function must begin with its verb."""
    problems = []
    for module in modules:
        for name, node in definitions(module):
            where = f"{module.path}::{name}"
            text = ast.get_docstring(node)
            if not text:
                problems.append(f"{where} has no docstring")
                continue
            problems += [f"{where}: {phrase!r}" for phrase in PHRASES if phrase in text]
            # A property is read as an attribute, which a noun may describe.
            if isinstance(node, ast.FunctionDef) and not decorated(node, "property"):
                opener = re.split(r"[^\w']", text)[0]
                if opener.lower() in OPENERS:
                    problems.append(f"{where} begins with {opener!r} instead of a verb")
    return problems


def dialect(modules: list[Module]) -> list[str]:
    """No public name may contain a word of a private dialect."""
    problems = []
    for module in modules:
        names = [name.split(".")[-1] for name, _ in definitions(module)]
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                names += [
                    child.target.id
                    for child in node.body
                    if isinstance(child, ast.AnnAssign) and isinstance(child.target, ast.Name)
                ]
        for name in names:
            words = re.findall(r"[A-Z]?[a-z]+", name)
            problems += [f"{module.path}: {name}" for word in words if word.lower() in DIALECT]
    return problems


def sizes(modules: list[Module]) -> list[str]:
    """A file must fit into a head."""
    counts = {module.path: module.text.count("\n") for module in modules}
    return [f"{path} has {count} lines" for path, count in counts.items() if count > LINES]


def citations(modules: list[Module], checkout: Path) -> list[str]:
    """What a text cites must be a page of this repository."""
    problems = []
    for module in modules:
        problems += [
            f"{module.path} cites {page}, which does not exist"
            for page in re.findall(r"\bdocs/[\w/.-]*\w", module.text)
            if not (checkout / page).is_file()
        ]
        problems += [f"{module.path} cites {path}" for path in ELSEWHERE.findall(module.text)]
    return problems


def overrides(modules: list[Module], room: str) -> list[str]:
    """A method is abstract or final: what a class defines, its subclasses leave alone."""
    classes = {
        node.name: (module, node)
        for module in modules
        if module.room == room
        for node in module.tree.body
        if isinstance(node, ast.ClassDef)
    }

    def methods(node: ast.ClassDef) -> dict[str, bool]:
        return {
            child.name: decorated(child, "abstractmethod")
            for child in node.body
            if isinstance(child, ast.FunctionDef)
            and (child.name == "__call__" or not child.name.startswith("__"))
        }

    def ancestors(node: ast.ClassDef) -> Iterator[ast.ClassDef]:
        for base in node.bases:
            name = ast.unparse(base).split("[")[0].split(".")[-1]
            if name in classes:
                yield classes[name][1]
                yield from ancestors(classes[name][1])

    return sorted(
        {
            f"{module.path}::{node.name}.{name} overrides {ancestor.name}.{name}"
            for module, node in classes.values()
            for name in methods(node)
            for ancestor in ancestors(node)
            if methods(ancestor).get(name) is False
        }
    )
