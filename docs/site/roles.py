"""Reads the references of docstrings, such as :func:`train`, as links of the reference."""

import re
from typing import Any

import griffe

_MATH = re.compile(r"^ *\.\. math::\n", re.MULTILINE)
_ROLE = re.compile(r":(?:func|class|meth|data|mod|attr|exc):`~?([\w.]+)`")


class Roles(griffe.Extension):
    """Turns each reference into a link in Markdown, which mkdocstrings resolves and checks."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of an object."""
        if obj.docstring:
            text = _MATH.sub("", obj.docstring.value)  # what is indented below it is shown as it is
            obj.docstring.value = _ROLE.sub(r"[`\1`][\1]", text)
