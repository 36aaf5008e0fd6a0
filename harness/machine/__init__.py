"""Targets, QEMU's command line, the life of a VM."""
