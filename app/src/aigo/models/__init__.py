"""Models: any OpenAI-compatible endpoint, several in order, or the embedded scripted one."""
