"""What leaves the program as text: lines for pipes."""
