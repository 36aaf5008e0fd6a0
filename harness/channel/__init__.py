"""How the harness talks to the agent in the guest: serial or SSH, one protocol."""
