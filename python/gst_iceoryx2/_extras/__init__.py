"""Optional third-party libraries. Each one is imported only by its module in this package."""
