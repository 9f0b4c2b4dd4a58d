"""Real processes: the benchmark."""
