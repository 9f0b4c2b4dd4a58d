"""A history as one self-contained HTML page with a time line.

Open `html_report` first.
"""
