"""What search-service keeps of a member: its export; foreign keys erase it."""
