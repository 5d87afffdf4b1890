"""The services: each a package with its own routes, rules, queries and database role."""
