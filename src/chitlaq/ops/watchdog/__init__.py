"""What notices that alerts can no longer arrive: probes of its own, and heartbeats sent and expected."""
