"""``kph nightly``: what changed since last night on several trees, with a history.

::

    file ──► plan ──► night ──► history ──► regress
    trees,   what     each      SQLite:     retried,
    matrix   is new,  cell      verdicts    bisected
             budget   alone     over time
"""
