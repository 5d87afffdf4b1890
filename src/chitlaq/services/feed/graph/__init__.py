"""The graph: who follows, asks to follow, and blocks whom."""
