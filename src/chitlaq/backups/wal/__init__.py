"""The WAL archive: segments, pages, staging."""
