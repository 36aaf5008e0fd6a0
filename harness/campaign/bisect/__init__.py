"""``kph bisect``: the commit that made a scenario fail, with evidence, in the fewest builds.

::

    history ──► prune ──► search ──► tester ──► proof
    commits     those     where to    build,     parent,
    between     that a    look next   run,       revert
                build               signature
                reads
                   walk: what runs the line, and writes the journal
                   knowledge: what of the history matters, and what the tests so far say of it
"""
