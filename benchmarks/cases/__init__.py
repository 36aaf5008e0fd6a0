"""One module per letter of the table, found by being there; see benchmarks.case."""
