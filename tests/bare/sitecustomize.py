"""On ``PYTHONPATH``, it makes of any machine one without OpenGL: no library of it can be loaded."""

import ctypes

_ABSENT = ("libGL", "libEGL", "libOSMesa", "libOpenGL")
_load = ctypes.CDLL.__init__


def _load_all_but_opengl(self, name=None, *arguments, **options):
    if str(name).rpartition("/")[2].startswith(_ABSENT):
        raise OSError(f"{name}: cannot open shared object file: No such file or directory")
    _load(self, name, *arguments, **options)


ctypes.CDLL.__init__ = _load_all_but_opengl
