"""One module per kind of page: ``pages(site)`` names them, and says how each is made and from what."""
