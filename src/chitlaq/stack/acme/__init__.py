"""nginx's certificate from an authority that browsers trust, renewed by itself (RFC 8555)."""
