"""The methods by name. Loops, command line and checkpoints find a method here and nowhere else."""

from driftpolicy.agents.base import Agent
from driftpolicy.agents.config import AgentConfig
from driftpolicy.agents.dfp import DFP, DFPCloningConfig, DFPConfig
from driftpolicy.agents.flow import BFNConfig, FlowPolicy, QCBFNConfig
from driftpolicy.agents.fql import FQL, FQLConfig, QCFQLConfig
from driftpolicy.agents.gaussian import BC, IQL, BCConfig, IQLConfig
from driftpolicy.agents.mvp import MVP, MVPConfig, MVPTopKConfig

METHODS: dict[str, tuple[type[Agent], type[AgentConfig]]] = {
    "bfn": (FlowPolicy, BFNConfig),
    "qc-bfn": (FlowPolicy, QCBFNConfig),
    "fql": (FQL, FQLConfig),
    "qc-fql": (FQL, QCFQLConfig),
    "mvp": (MVP, MVPConfig),
    "mvp-topk": (MVP, MVPTopKConfig),
    "dfp-bc": (DFP, DFPCloningConfig),
    "dfp": (DFP, DFPConfig),
    "bc": (BC, BCConfig),
    "iql": (IQL, IQLConfig),
}

__all__ = ["DFP", "METHODS", "Agent", "AgentConfig", "DFPConfig"]
