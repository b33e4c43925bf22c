"""What is known about ZFS itself: tables and parsers."""
