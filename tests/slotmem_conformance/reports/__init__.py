"""Verdicts, and the forms in which they are written: JSON, JUnit, Markdown, HTML, a badge.

Open `verdicts` first.
"""
