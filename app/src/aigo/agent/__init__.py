"""The agent: a bounded loop of model and tools, told as a stream of events."""

from aigo.agent.runner import AgentFailure, AgentRunner, Step, Turn

__all__ = ["AgentFailure", "AgentRunner", "Step", "Turn"]
