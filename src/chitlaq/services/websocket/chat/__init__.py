"""Conversations and messages: who takes part, what was said, in order and once."""
