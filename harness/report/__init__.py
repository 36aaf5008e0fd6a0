"""One module per report format, found by being here."""
