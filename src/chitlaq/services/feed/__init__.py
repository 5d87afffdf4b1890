"""feed-service: members' profiles, whom they follow, posts and feeds."""
