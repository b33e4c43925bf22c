"""The lab: real OpenZFS on a stock kernel, in a virtual machine that is built, booted and thrown away."""
