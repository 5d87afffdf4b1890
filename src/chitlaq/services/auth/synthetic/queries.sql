-- name: synthetic_accounts
-- The accounts of the synthetic members. Index: accounts_synthetic.
SELECT id FROM auth.accounts WHERE is_synthetic ORDER BY id LIMIT 2;

-- name: insert_synthetic_accounts
-- Make them, once. Their names are nobody's: a member may have any name that is not random.
INSERT INTO auth.accounts (email, username, display_name, password_hash, verified_at, is_synthetic)
SELECT 'synthetic-' || number || '@chitlaq.invalid', 'synthetic_' || substr(md5(uuidv4()::text), 1, 20),
       'Synthetic member ' || number, 'none', now(), true
FROM generate_series(1, 2) AS number
ON CONFLICT (email) DO NOTHING;

-- name: synthetic_conversation
-- Their conversation, without its oldest messages.
SELECT websocket.synthetic_conversation();
