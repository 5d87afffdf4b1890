"""Web pages: templates, style sheets and scripts, without a build step."""
