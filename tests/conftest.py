"""Shapes and types in every signature of the package are checked at run time in the tests."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
from jaxtyping import install_import_hook

install_import_hook("driftpolicy", "beartype.beartype")
jax.config.update("jax_numpy_rank_promotion", "warn")
jax.config.update("jax_numpy_dtype_promotion", "standard")
