"""The graph: who follows and who blocks whom."""
