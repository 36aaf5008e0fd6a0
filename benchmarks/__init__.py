"""What kph costs on this machine, beside make, virtme-ng and a boot per scenario. ``make bench`` runs it."""
