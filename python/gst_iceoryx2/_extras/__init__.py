"""Optional third-party libraries, each imported by one module here."""
