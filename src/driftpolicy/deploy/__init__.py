"""A trained policy on a robot: needs NumPy and onnxruntime, neither JAX nor any training code."""

from driftpolicy.deploy.metadata import Metadata
from driftpolicy.deploy.policy import Policy
from driftpolicy.deploy.report import Report
from driftpolicy.deploy.runner import ChunkRunner

__all__ = ["ChunkRunner", "Metadata", "Policy", "Report"]
