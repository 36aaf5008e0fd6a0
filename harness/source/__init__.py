"""Trees and series: from what the user names to commits in a repository of our own."""
