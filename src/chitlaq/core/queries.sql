-- What every service reads beside its own queries.

-- name: public_keys
-- The keys that access tokens are signed with; a handful of rows.
SELECT id, public_jwk FROM auth.public_keys;
