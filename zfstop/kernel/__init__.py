"""Everything that touches BPF and its file descriptors."""
