-- name: registrations_within_an_hour
-- The seconds until fewer than $2 registrations of a mailbox are younger than an hour; no row if fewer are now.
-- Whether the address has an account makes no difference. Index: registrations_by_mailbox.
SELECT extract(epoch FROM created_at + interval '1 hour' - now())::float8 AS seconds_left
FROM auth.registrations
WHERE mail.mailbox(email) = mail.mailbox($1)
  AND created_at BETWEEN now() - interval '1 hour' AND now() + interval '1 hour'
ORDER BY created_at DESC
OFFSET $2 - 1 LIMIT 1;

-- name: insert_registration
-- A registration, and the account that its address already has. Index: accounts' unique addresses.
WITH holder AS (
    SELECT a.id, coalesce(c.display_name, a.display_name) AS display_name, a.language
    FROM auth.accounts a LEFT JOIN feed.member_cards c ON c.id = a.id WHERE a.email = $2
)
INSERT INTO auth.registrations (university_id, email, username, display_name, department, language,
                                password_hash, account_id, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, (SELECT id FROM holder), now() + make_interval(hours => $8))
RETURNING id, email, account_id,
          coalesce((SELECT display_name FROM holder), display_name) AS display_name,
          coalesce((SELECT language FROM holder), language) AS language;

-- name: renew_registration
-- The newest registration of an address that is not over, now for longer. Index: registrations_by_email.
UPDATE auth.registrations SET expires_at = now() + make_interval(hours => $2)
WHERE id = (
    SELECT id FROM auth.registrations
    WHERE email = $1 AND expires_at > now() AND account_id IS NULL
    ORDER BY created_at DESC
    LIMIT 1
)
RETURNING id, email, account_id, display_name, language;

-- name: account_with_address
-- The account of an address, as a mail to it needs it. Index: accounts' unique addresses.
SELECT a.id, a.id AS account_id, a.university_id, a.email, coalesce(c.display_name, a.display_name) AS display_name,
       a.language, a.password_hash IS NOT NULL AS has_password
FROM auth.accounts a
LEFT JOIN feed.member_cards c ON c.id = a.id
WHERE a.email = $1 AND NOT a.is_synthetic;

-- name: insert_link
-- A token that proves an address, for so many hours.
INSERT INTO auth.registration_links (token_hash, registration_id, expires_at)
VALUES ($1, $2, now() + make_interval(hours => $3));

-- name: registration_of_link
-- The registration that a mailed token belongs to; how many of its address are open; the account that the
-- address has. Nothing if that account has another address by now. Index: registration_links' primary key.
SELECT r.id, r.university_id, r.email, r.username, r.display_name, r.department, r.language, r.password_hash,
       a.id AS account_id, a.username AS account_username,
       (SELECT count(*) FROM auth.registrations o
        WHERE o.email = r.email AND o.expires_at > now() AND o.account_id IS NULL) AS open_registrations
FROM auth.registration_links l
JOIN auth.registrations r ON r.id = l.registration_id
LEFT JOIN auth.accounts a ON a.email = r.email
WHERE l.token_hash = $1 AND l.expires_at > now() AND r.expires_at > now() AND (r.account_id IS NULL OR r.account_id = a.id);

-- name: registration_of_address
-- The newest open registration of an address, as `registration_of_link`. Index: registrations_by_email.
SELECT id, university_id, email, username, display_name, department, language, password_hash,
       count(*) OVER () AS open_registrations
FROM auth.registrations
WHERE email = $1 AND expires_at > now() AND account_id IS NULL
ORDER BY created_at DESC
LIMIT 1;

-- name: close_registrations
-- No registration of this address becomes another account. Index: registrations_by_email.
UPDATE auth.registrations SET account_id = $2 WHERE email = $1;

-- name: forget_registrations
-- Forget those that are over. Index: registrations_by_expiry.
DELETE FROM auth.registrations WHERE expires_at < now();

-- name: lock_username
-- Wait for others who want this name or one that looks like it, until the transaction ends.
SELECT pg_advisory_xact_lock(hashtext('username'), hashtext(auth.skeleton($1)));

-- name: is_username_taken
-- Whether somebody has this name or one that looks like it. Index: accounts_by_username_skeleton.
SELECT EXISTS (SELECT FROM auth.accounts WHERE username_skeleton = auth.skeleton($1))
    OR EXISTS (SELECT FROM auth.retired_usernames WHERE hash = sha256(convert_to(auth.skeleton($1), 'UTF8')));

-- name: insert_account
-- A new account, verified.
INSERT INTO auth.accounts
    (id, university_id, email, username, display_name, language, password_hash, verified_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, now());

-- name: create_member
-- Create the member's profile through feed's published function.
SELECT feed.create_member($1, $2, $3, $4, $5);

-- name: account
-- An account as its owner sees it.
SELECT a.id, a.username, coalesce(c.display_name, a.display_name) AS display_name, a.email, u.name AS university
FROM auth.accounts a
JOIN auth.universities u ON u.id = a.university_id
LEFT JOIN feed.member_cards c ON c.id = a.id
WHERE a.id = $1;
