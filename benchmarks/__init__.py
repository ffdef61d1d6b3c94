"""How fast, how big: `make benchmark`, or `python -m benchmarks --help`."""
