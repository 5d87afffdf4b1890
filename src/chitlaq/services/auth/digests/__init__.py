"""The mails that tell members how much is new."""
