"""Reading the console, and base against patched."""
