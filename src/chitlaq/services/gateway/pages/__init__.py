"""The pages of the site: what their readers see at once is rendered here, from what the services answer."""
