"""The command line: parses arguments, calls the packages below, prints; holds no rules."""
