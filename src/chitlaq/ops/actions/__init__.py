"""What operators do: shown first, asked for, recorded."""
