"""Several machines that are one installation: their inventory, and what each of them reads."""
