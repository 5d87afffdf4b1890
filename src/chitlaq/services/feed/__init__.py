"""feed-service: profiles, follows and blocks, posts and timelines."""
