"""Shapes and types in every signature of the package are checked at run time in the tests."""

import atexit
import ctypes
import gc
import os
import platform
import shutil
import tempfile

from tests.compiling import FLAGS

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# The processes that tests start and kill compile the same programs: once is enough.
_cache = tempfile.mkdtemp(prefix="driftpolicy-compiled-")
atexit.register(shutil.rmtree, _cache, ignore_errors=True)
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", _cache)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
# Most of the tests' time is the compiler's, for programs that run once or for a second.
os.environ.setdefault("XLA_FLAGS", FLAGS)

import jax
import pytest
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

install_import_hook("driftpolicy", "beartype.beartype")
jax.config.update("jax_numpy_rank_promotion", "warn")
jax.config.update("jax_numpy_dtype_promotion", "standard")
# Of a property, an example and making it up may take any time.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def pytest_collection_modifyitems(items):
    """Begin with the files that take long: at the end, one would leave the other workers idle."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(scope="module", autouse=True)
def _memory_is_given_back():
    """Give back what a file compiled and simulated: the next file hardly needs any of it."""
    yield
    jax.clear_caches()
    gc.collect()  # simulators, of whose hundreds of megabytes Python does not know
    if platform.libc_ver()[0] == "glibc":  # which by itself keeps what was freed
        ctypes.CDLL("libc.so.6").malloc_trim(0)
