"""The services: each a package with routes, rules, queries and a database role of its own."""
