"""Universities: which addresses may register, and the department of each."""
