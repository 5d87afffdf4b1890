"""What the system can do, measured beside what could be had at best: `chitlaq bench`."""
