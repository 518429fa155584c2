"""Models: OpenAI-compatible and Anthropic endpoints in order, each behind a breaker, or the embedded scripted one."""
