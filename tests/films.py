"""Films for tests: made of flat colours, read back as arrays.

By ffmpeg itself: imageio forks, which JAX warns of.
"""

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np

SIZE = 64
"""Pixels, both ways, of what is written here."""


def write_film(path: Path, colour: tuple[int, int, int], frames: int = 12) -> Path:
    """A film of a single colour, 20 frames a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((frames, SIZE, SIZE, 3), colour, np.uint8).tobytes()
    raw = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{SIZE}x{SIZE}", "-r", "20", "-i", "-")
    _ffmpeg(*raw, "-pix_fmt", "yuv420p", str(path), given=pixels)
    return path


def read_film(path: Path, height: int, width: int) -> np.ndarray:
    """All frames, ``[frames, height, width, 3]``."""
    output = _ffmpeg("-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    return np.frombuffer(output, np.uint8).reshape(-1, height, width, 3)


def _ffmpeg(*arguments: str, given: bytes = b"") -> bytes:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", *arguments]
    return subprocess.run(command, check=True, input=given, stdout=subprocess.PIPE).stdout
