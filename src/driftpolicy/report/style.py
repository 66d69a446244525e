"""How a method looks, in every figure alike: readable in grey and by colour-blind readers."""

import dataclasses
from collections.abc import Sequence

# Okabe and Ito's colours without yellow, which is lost on white.
_BLACK, _ORANGE, _SKY, _GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
_BLUE, _RED, _PINK, _GREY = "#0072B2", "#D55E00", "#CC79A7", "#7F7F7F"


@dataclasses.dataclass(frozen=True)
class Style:
    """Colour, line and marker; no two methods of a figure share both colour and line."""

    colour: str
    dashes: tuple[float, ...]
    """Lengths of line and gap in points; empty: unbroken."""
    marker: str
    """Matplotlib's name."""


SOLID, DASHED, DOTTED = (), (4.0, 1.6), (1.2, 1.4)
METHOD_STYLES: dict[str, Style] = {
    # A family shares its colour; what came first, or does less, is broken.
    "bfn": Style(_ORANGE, DASHED, "v"),
    "qc-bfn": Style(_ORANGE, SOLID, "^"),
    "fql": Style(_SKY, DASHED, "<"),
    "qc-fql": Style(_SKY, SOLID, ">"),
    "mvp": Style(_GREEN, DASHED, "s"),
    "mvp-topk": Style(_GREEN, SOLID, "D"),
    "dfp-bc": Style(_RED, DASHED, "P"),
    "dfp": Style(_RED, SOLID, "o"),
    "bc": Style(_GREY, DASHED, "X"),
    "iql": Style(_BLUE, SOLID, "p"),
}
"""By the method's name."""
_CYCLE = [
    Style(colour, dashes, marker)
    for dashes in (SOLID, DASHED, DOTTED)
    for colour, marker in zip(
        (_RED, _BLUE, _GREEN, _ORANGE, _SKY, _PINK, _BLACK), "os^D>vP", strict=True
    )
]


def styles(labels: Sequence[str]) -> dict[str, Style]:
    """Return the style of each, in its order.

    A variant takes its method's where it is the only one of that method, or else in turn what none
    among them has.
    """
    methods = [label.partition("@")[0] for label in labels]
    chosen = {
        label: METHOD_STYLES[method]
        for label, method in zip(labels, methods, strict=True)
        if method in METHOD_STYLES and (label == method or methods.count(method) == 1)
    }
    taken = {(style.colour, style.dashes) for style in chosen.values()}
    free = [style for style in _CYCLE if (style.colour, style.dashes) not in taken]
    others = [label for label in labels if label not in chosen]
    chosen |= {label: free[i % len(free)] for i, label in enumerate(others)}
    return {label: chosen[label] for label in labels}
