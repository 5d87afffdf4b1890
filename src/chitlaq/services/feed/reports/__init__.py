"""Reports: what members want moderators to look at."""
