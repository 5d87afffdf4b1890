"""What the machine needs: programs, packages, users."""
