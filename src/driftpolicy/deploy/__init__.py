"""A trained policy on a robot: needs NumPy and onnxruntime, neither JAX nor any training code."""

from driftpolicy.deploy.metadata import Metadata
from driftpolicy.deploy.policy import Policy

__all__ = ["Metadata", "Policy"]
