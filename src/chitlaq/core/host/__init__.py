"""The machine: CPU affinity, files, programs, an HTTP client."""
