"""What is known of each backup: records, states, retention."""
