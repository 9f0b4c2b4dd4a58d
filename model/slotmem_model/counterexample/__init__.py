"""The way to a violation, told: as a story, as lanes, as a picture, and as a trace to replay.

Open `explain` first: it turns a path of the model into a story.
"""
