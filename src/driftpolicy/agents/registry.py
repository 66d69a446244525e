"""The methods by name: loops, command line and checkpoints look a method up here only."""

import inspect
from pathlib import Path
from typing import NamedTuple

from driftpolicy.agents.base import Agent
from driftpolicy.agents.config import AgentConfig
from driftpolicy.agents.dfp import DFP, DFPCloningConfig, DFPConfig
from driftpolicy.agents.flow import BFNConfig, FlowPolicy, QCBFNConfig
from driftpolicy.agents.fql import FQL, FQLConfig, QCFQLConfig
from driftpolicy.agents.gaussian import BC, IQL, BCConfig, IQLConfig
from driftpolicy.agents.mvp import MVP, MVPConfig, MVPTopKConfig
from driftpolicy.errors import UserError
from driftpolicy.importing import load_object


class Method(NamedTuple):
    """A way to train a policy."""

    agent: type[Agent]
    config: type[AgentConfig]


METHODS: dict[str, Method] = {
    "bfn": Method(FlowPolicy, BFNConfig),
    "qc-bfn": Method(FlowPolicy, QCBFNConfig),
    "fql": Method(FQL, FQLConfig),
    "qc-fql": Method(FQL, QCFQLConfig),
    "mvp": Method(MVP, MVPConfig),
    "mvp-topk": Method(MVP, MVPTopKConfig),
    "dfp-bc": Method(DFP, DFPCloningConfig),
    "dfp": Method(DFP, DFPConfig),
    "bc": Method(BC, BCConfig),
    "iql": Method(IQL, IQLConfig),
}


def register_method(name: str, agent: type[Agent], config: type[AgentConfig]) -> None:
    """Make a method known by a name, for this process.

    Args:
        name: one word without a colon; a known name is refused.
        agent: the method's class.
        config: its settings, a frozen dataclass.

    Raises:
        UserError: if the name is taken or holds a colon.
    """
    if name in METHODS:
        raise UserError(f"there is a method {name!r} already")
    if ":" in name or not name.strip():
        raise UserError(f"a method's name is one word without a colon, not {name!r}")
    METHODS[name] = Method(agent, config)


def find_method(name: str) -> Method:
    """Return a method by its registered name, or a user's by ``file.py:Class``.

    A user's class says what its settings are by its attribute ``Config``.

    Raises:
        UserError: for an unknown name, or an object that is no agent's class.
    """
    if name in METHODS:
        return METHODS[name]
    if ":" not in name:
        known = ", ".join(METHODS)
        raise UserError(f"unknown method {name!r}; known: {known}, or file.py:Class of yours")
    agent = load_object(name)
    if not (inspect.isclass(agent) and issubclass(agent, Agent)):
        raise UserError(f"{name} is no subclass of driftpolicy.agents.Agent")
    if inspect.isabstract(agent):
        missing = ", ".join(sorted(agent.__abstractmethods__))
        raise UserError(f"{name} does not define {missing}")
    return Method(agent, agent.Config)


def folder_of_method(name: str) -> str:
    """Return a method's name as a folder's: of a user's file its name and the class."""
    file, _, class_name = name.rpartition(":")
    return f"{Path(file).name}-{class_name}" if file else name
