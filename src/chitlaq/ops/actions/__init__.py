"""Actions that operators carry out: shown first, confirmed, and recorded."""
