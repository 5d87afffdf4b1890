"""On call: people, their channels, rotations, overrides."""
