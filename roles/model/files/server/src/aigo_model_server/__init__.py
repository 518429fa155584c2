"""Serves one GGUF model with llama.cpp behind TLS and an API key."""
