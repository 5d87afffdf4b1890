"""Discovery: explore, hashtags, and which of them rise. How it works: docs/feed.md."""
