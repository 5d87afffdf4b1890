"""The machine: CPU affinity, files, programs, local HTTP."""
