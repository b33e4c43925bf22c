"""zfstop: which process waits on which file of which ZFS dataset, for how long, live."""

__version__ = "0.1.0"
