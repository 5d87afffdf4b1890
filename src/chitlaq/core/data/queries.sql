-- What several services ask beside their own queries.

-- name: public_keys
-- The keys that access tokens are signed with; a handful of rows.
SELECT id, public_jwk FROM auth.public_keys;

-- name: put_mail
-- A mail to be sent.
INSERT INTO mail.messages (to_address, subject, text, html, links, request_id)
VALUES ($1, $2, $3, $4, $5, $6);
