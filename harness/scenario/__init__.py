"""Suites and scenarios: schema, loading, running, expecting."""
