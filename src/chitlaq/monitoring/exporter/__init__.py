"""What ops-service exports for components that export nothing of themselves."""
