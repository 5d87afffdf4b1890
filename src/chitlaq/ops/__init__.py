"""Operations: observes the system from outside, as an operator would."""
