"""The versions that decide a result."""

import importlib.metadata
import platform

from driftpolicy import __version__

_PACKAGES = ("jax", "equinox", "optax", "numpy", "mujoco", "ogbench", "robosuite")


def versions() -> dict[str, str]:
    """Return the versions of this package, Python and the packages that decide a result."""
    found = {"driftpolicy": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
