"""The agent: a bounded loop of model and tools, told as a stream of events."""

from aigo.agent.context import AgentFailure, Context, Passage, Refused, Step, Tally, Turn
from aigo.agent.runner import AgentRunner

__all__ = ["AgentFailure", "AgentRunner", "Context", "Passage", "Refused", "Step", "Tally", "Turn"]
