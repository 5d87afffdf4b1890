-- name: open_providers
-- The identity providers that sign in, by university.
SELECT p.name, p.title, u.name AS university
FROM auth.identity_providers p
JOIN auth.universities u ON u.id = p.university_id
WHERE p.disabled_at IS NULL
ORDER BY u.name, p.title, p.name
LIMIT 1000;

-- name: provider
-- An identity provider with all that signing in needs. Index: identity_providers' unique names.
SELECT p.id, p.name, p.title, p.university_id, u.name AS university, p.issuer, p.client_id, p.sealed_secret,
       p.scopes, p.verified_claim, p.second_factors, p.disabled_at, auth.rules_of_provider(p.id) AS rules
FROM auth.identity_providers p
JOIN auth.universities u ON u.id = p.university_id
WHERE p.name = $1;

-- name: providers
-- All identity providers as operators see them, by name.
SELECT p.name, p.title, u.name AS university, p.issuer, p.client_id, p.scopes, p.verified_claim,
       p.second_factors, p.disabled_at, auth.rules_of_provider(p.id) AS rules,
       (SELECT count(*) FROM auth.linked_identities l WHERE l.provider_id = p.id) AS linked
FROM auth.identity_providers p
JOIN auth.universities u ON u.id = p.university_id
ORDER BY p.name;

-- name: university_named
-- The universities of a name, an operator's id or a domain; of these, the one that the text names best.
SELECT id FROM auth.universities WHERE code = $1
UNION
SELECT university_id FROM auth.university_domains WHERE domain = $2
UNION
SELECT id FROM auth.universities WHERE lower(name) = lower($1);

-- name: insert_provider
-- Add an identity provider.
INSERT INTO auth.identity_providers (id, name, title, university_id, issuer, client_id, sealed_secret, scopes,
                                     verified_claim, second_factors)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: insert_claim_rules
-- Add the rules of a provider, in their order.
INSERT INTO auth.claim_rules (provider_id, position, kind, claim, pattern, value)
SELECT $1, position, kind, claim, pattern, value
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[])
     WITH ORDINALITY AS rule (kind, claim, pattern, value, position);

-- name: set_provider_open
-- Let a provider sign in, or not.
UPDATE auth.identity_providers SET disabled_at = CASE WHEN NOT $2 THEN coalesce(disabled_at, now()) END
WHERE name = $1;

-- name: audit_unlinked
-- Note that a provider means none of its accounts any more. Index: linked_identities' primary key.
INSERT INTO auth.audit (account_id, operator, action, detail)
SELECT l.account_id, $2, 'identity_unlinked', jsonb_build_object('provider', p.name)
FROM auth.linked_identities l JOIN auth.identity_providers p ON p.id = l.provider_id
WHERE p.name = $1;

-- name: delete_provider
-- Forget a provider and what hangs on it.
DELETE FROM auth.identity_providers WHERE name = $1;

-- name: lock_identity
-- Let nobody else sign this subject in until the transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended('identity ' || $1::uuid || $2::text, 0));

-- name: linked_account
-- The account of a subject; it moves to no other university until the transaction ends. Index: linked_identities'
-- primary key.
SELECT l.account_id, a.university_id
FROM auth.linked_identities l
JOIN auth.accounts a ON a.id = l.account_id
WHERE l.provider_id = $1 AND l.subject = $2
FOR NO KEY UPDATE OF a;

-- name: is_linked
-- Whether the provider has a subject for this account.
SELECT EXISTS (SELECT FROM auth.linked_identities WHERE account_id = $2 AND provider_id = $1);

-- name: link_identity
-- Let a subject mean an account.
INSERT INTO auth.linked_identities (provider_id, subject, account_id) VALUES ($1, $2, $3);

-- name: unlink_identity
-- Let a provider mean nobody by an account, given its address or name.
DELETE FROM auth.linked_identities l
USING auth.accounts a
WHERE l.provider_id = $1 AND a.id = l.account_id AND (a.email = $2 OR a.username = $2)
RETURNING l.account_id;

-- name: leave_providers
-- Let the providers of other universities than this one mean nobody by an account; their names, and the roles that
-- they give. Index: linked_identities' unique accounts.
DELETE FROM auth.linked_identities l
USING auth.identity_providers p
WHERE l.account_id = $1 AND p.id = l.provider_id AND p.university_id <> $2
RETURNING p.name, ARRAY(SELECT DISTINCT r.value FROM auth.claim_rules r
                        WHERE r.provider_id = p.id AND r.kind = 'role') AS roles;

-- name: session_of_token
-- The session of a current refresh token. Index: sessions' unique hashes.
SELECT id FROM auth.sessions WHERE refresh_hash = $1;

-- name: insert_provider_session
-- Note where a session began; its member proved who they are when the provider says so ($4), if it does.
WITH proved AS (
    UPDATE auth.sessions SET authenticated_at = least(authenticated_at, to_timestamp($4::float8)) WHERE id = $1
)
INSERT INTO auth.provider_sessions (session_id, provider_id, sealed_id_token) VALUES ($1, $2, $3);

-- name: provider_session
-- Where a session began. Index: provider_sessions' primary key.
SELECT p.name, s.sealed_id_token
FROM auth.provider_sessions s
JOIN auth.identity_providers p ON p.id = s.provider_id
WHERE s.session_id = $1;
