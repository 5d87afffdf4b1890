"""Every line of the runbook that looks at something: a declaration, and a function that judges."""
