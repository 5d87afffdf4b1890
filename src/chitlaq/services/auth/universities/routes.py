"""Universities over HTTP, for operators."""
