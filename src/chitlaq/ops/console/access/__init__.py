"""Who may use the console: operators, their sessions, links that sign in once."""
