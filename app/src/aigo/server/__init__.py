"""Serving: sockets, processes, draining, and what systemd wants to know."""
