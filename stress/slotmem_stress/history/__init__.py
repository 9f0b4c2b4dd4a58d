"""What a stress run recorded: how it is written, read and judged.

Open `records` first.
"""
