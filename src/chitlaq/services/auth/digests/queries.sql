-- name: reader_of_digest
-- Whom a digest is for, unless they cannot sign in or are leaving.
SELECT a.email, coalesce(c.display_name, a.display_name) AS display_name, a.language
FROM auth.accounts a
LEFT JOIN feed.member_cards c ON c.id = a.id
WHERE a.id = $1 AND a.disabled_at IS NULL AND NOT EXISTS (SELECT FROM auth.departures d WHERE d.account_id = a.id);
