"""The synthetic members, by whom operators see that messages arrive."""
