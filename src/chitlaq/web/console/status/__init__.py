"""The status page's words, templates and style sheet."""
