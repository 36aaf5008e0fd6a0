"""Kernel, test module, root file system and QEMU; every product under a content key."""
