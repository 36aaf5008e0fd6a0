"""A bench for our patched SMMUv3 model: QEMU without a kernel, its registers and tables written over qtest."""
