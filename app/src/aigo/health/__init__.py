"""Is it alive, can it work, how is it doing."""
