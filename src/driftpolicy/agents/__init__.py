"""The methods by name. Loops, command line and checkpoints find a method here and nowhere else."""

from driftpolicy.agents.base import Agent, AgentConfig
from driftpolicy.agents.dfp import DFP, DFPConfig

METHODS: dict[str, tuple[type[Agent], type[AgentConfig]]] = {"dfp": (DFP, DFPConfig)}

__all__ = ["DFP", "METHODS", "Agent", "AgentConfig", "DFPConfig"]
