"""One module per way to name a series, each with a ``KIND`` (see kind.py)."""
