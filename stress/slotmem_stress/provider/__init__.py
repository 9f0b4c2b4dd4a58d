"""The provider `algorithm:NAME`: the model's algorithms on real memory.

Open `algorithm_provider` first.
"""
