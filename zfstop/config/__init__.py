"""``config.toml``: what the screen begins with; errors have line numbers, comments outlive a change."""
