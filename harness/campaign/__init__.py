"""What runs the line: validate (later bisect and nightly)."""
