"""Single sign-on: identity providers of universities sign their members in (OpenID Connect)."""
