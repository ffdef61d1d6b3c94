"""The benchmarks: `make benchmark`, or `python -m benchmarks --help`."""
