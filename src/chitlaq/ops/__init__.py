"""Operations: what watches the system from outside, as an operator would."""
