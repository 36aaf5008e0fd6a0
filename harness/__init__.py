"""kph: the kernel patch harness.

The rooms follow a patch from ``source`` to ``report``; see README.md.
"""
