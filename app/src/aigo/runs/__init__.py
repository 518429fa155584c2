"""Runs: a question, the stream of what the agent does about it, and the one way in which it ends."""
