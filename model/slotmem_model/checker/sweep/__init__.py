"""The fast search: the states of `naive`, packed into integers and explored as numpy arrays.

Open `engine` first; `packing` says how a state becomes a row of integers.
"""
