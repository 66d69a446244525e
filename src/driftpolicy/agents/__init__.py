"""The methods: what an agent is, one file for each kind of actor, and the registry of names."""

from driftpolicy.agents.base import Agent
from driftpolicy.agents.config import AgentConfig
from driftpolicy.agents.decision import DecisionRule
from driftpolicy.agents.dfp import DFP, DFPConfig
from driftpolicy.agents.registry import METHODS, find_method, register_method

__all__ = [
    "DFP",
    "METHODS",
    "Agent",
    "AgentConfig",
    "DFPConfig",
    "DecisionRule",
    "find_method",
    "register_method",
]
