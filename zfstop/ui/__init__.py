"""The screen. Only this package imports textual."""
