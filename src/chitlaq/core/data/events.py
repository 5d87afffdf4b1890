"""The names of events between services, and the channel in Valkey that carries them."""

CHANNEL = "chitlaq:events"

POST_CREATED = "post_created"
