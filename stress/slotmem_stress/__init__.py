"""Real processes: stress runs with faults, recorded histories, their judgement; and the benchmark."""
