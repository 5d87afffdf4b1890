"""Pictures: uploaded, rendered in a confined process, and served to those who may see them."""
