"""Real processes: stress runs under faults, the histories they record and their judgement; and the
benchmark.
"""
