"""Words above the frames of a film: what is to be done, how far it is, what the critic thinks."""

import dataclasses
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

HEIGHT = 96
"""Pixels added above a frame; a multiple of 16 suits every codec. Above, because players lay their
controls over the lower edge."""
_FONT = 16  # pixels, for frames 480 wide
_LINE, _MARGIN = 22, 10
_BACKGROUND, _INK, _SOFT, _SUCCESS = "#ffffff", "#1c1b19", "#5e5a52", "#006b4a"


@dataclasses.dataclass(frozen=True)
class Caption:
    """What is written."""

    title: str = ""
    """Whose policy, on which task."""
    goal: str = ""
    """In words."""
    episode: str = ""
    """Which of how many."""
    step: int = 0
    """Control steps so far."""
    value: float = math.nan
    """``Q`` of the chunk under way."""
    success: bool = False


def add_caption(
    frame: UInt8[np.ndarray, "height width 3"], caption: Caption
) -> UInt8[np.ndarray, "captioned width 3"]:
    """Return the frame with the caption above it, :data:`HEIGHT` pixels higher."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (frame.shape[1], HEIGHT), _BACKGROUND)
    draw = ImageDraw.Draw(image)
    plain, bold = _font("DejaVuSans"), _font("DejaVuSans-Bold")
    width = image.width - 2 * _MARGIN
    right = image.width - _MARGIN
    top = _MARGIN // 2
    draw.text((_MARGIN, top), _shorten(caption.title, bold, width), _INK, bold)
    lines = _wrap(f"goal: {caption.goal}", plain, width)
    for number, line in enumerate(lines, start=1):
        draw.text((_MARGIN, top + number * _LINE), line, _INK, plain)
    bottom = top + 3 * _LINE
    draw.text((_MARGIN, bottom), f"step {caption.step}", _INK, plain)
    value = f"{caption.value:.1f}".replace("-", "\N{MINUS SIGN}")
    draw.text((_MARGIN + 95, bottom), f"Q {value}", _INK, plain)
    if caption.success:
        draw.text((_MARGIN + 195, bottom), "\N{CHECK MARK} success", _SUCCESS, bold)
    draw.text((right, bottom), caption.episode, _SOFT, plain, anchor="ra")
    return np.concatenate([np.asarray(image), frame])


def _wrap(text: str, font: Any, width: int) -> list[str]:
    """At most two lines; what does not fit into them ends in an ellipsis."""
    words = text.split()
    count = len(words)
    while count > 1 and font.getlength(" ".join(words[:count])) > width:
        count -= 1
    first, rest = " ".join(words[:count]), " ".join(words[count:])
    return [first, _shorten(rest, font, width)] if rest else [first]


def _shorten(text: str, font: Any, width: int) -> str:
    """The text, or as much of it as fits, and an ellipsis."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "\N{HORIZONTAL ELLIPSIS}") > width:
        text = text[:-1]
    return text + "\N{HORIZONTAL ELLIPSIS}"


@cache
def _font(name: str) -> Any:
    """One of the fonts that come with Matplotlib."""
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / f"fonts/ttf/{name}.ttf", _FONT)
