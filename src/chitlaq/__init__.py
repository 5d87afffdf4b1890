"""ChitLaq: a social network that a university runs for itself."""

__version__ = "0.1.0"
