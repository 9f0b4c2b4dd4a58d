"""Sequences of requests that leave nothing out, derived from the specification's state graph.

Open `machine` first (a graph as a table), then `identifiers` and `tours` (the method, for any
machine), then `slots` and `servers` (the specification's own machines).
"""
