"""Optional third-party libraries: each one is imported by one module here."""
