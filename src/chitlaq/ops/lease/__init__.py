"""One of several ops-services acts for all: the one that holds the lease."""
