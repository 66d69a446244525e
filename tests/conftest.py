"""Shapes and types in every signature of the package are checked at run time in the tests."""

import atexit
import os
import shutil
import tempfile

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# The processes that tests start and kill compile the same programs: once is enough.
_cache = tempfile.mkdtemp(prefix="driftpolicy-compiled-")
atexit.register(shutil.rmtree, _cache, ignore_errors=True)
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", _cache)

import jax
from jaxtyping import install_import_hook

install_import_hook("driftpolicy", "beartype.beartype")
jax.config.update("jax_numpy_rank_promotion", "warn")
jax.config.update("jax_numpy_dtype_promotion", "standard")
