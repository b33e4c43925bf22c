"""What is known about slow operations: pure data and pure views. No files, no clock, no threads."""
