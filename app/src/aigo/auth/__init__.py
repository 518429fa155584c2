"""Who is asking: passwords, sessions with short tokens, and keys for programs."""
