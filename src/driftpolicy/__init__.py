"""One-step generative policies for robot manipulation, trained by offline-to-online RL."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from driftpolicy.policy import load_policy as load_policy
    from driftpolicy.tasks.registry import register as register

__all__ = ["__version__", "load_policy", "register"]


def __getattr__(name: str) -> Any:
    """Import JAX only when it is needed: environment processes live without it."""
    if name == "load_policy":
        from driftpolicy.policy import load_policy

        return load_policy
    if name == "register":
        from driftpolicy.tasks.registry import register

        return register
    raise AttributeError(f"module 'driftpolicy' has no attribute {name!r}")
