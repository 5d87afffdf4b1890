"""The status page in the console: what members are told, and telling them."""
