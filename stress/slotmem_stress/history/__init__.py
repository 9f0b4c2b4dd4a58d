"""What a stress run records: how it is written, read, judged and put into words.

Open `records` first.
"""
