"""Snapshots of real guests: copies, and copies that are taken back."""
