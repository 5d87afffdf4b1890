"""The command's words: they come in here and go out as calls; no rules of their own."""
