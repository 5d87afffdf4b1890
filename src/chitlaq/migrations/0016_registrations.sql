-- A registration is not an account: it takes no address and no name, several of one address stand beside
-- each other, and they end after a day. Whoever opens a link that was mailed to the address makes one of
-- them an account.

CREATE TABLE auth.registrations (
    -- The account's, if this becomes one.
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    university_id uuid NOT NULL REFERENCES auth.universities ON DELETE CASCADE,
    email text NOT NULL CHECK (email = lower(email) AND char_length(email) <= 254),
    username text NOT NULL CHECK (username ~ '^[a-z0-9_]{3,30}$'),
    display_name text NOT NULL CHECK (char_length(display_name) BETWEEN 1 AND 80),
    department text NOT NULL DEFAULT '' CHECK (char_length(department) <= 100),
    language text NOT NULL DEFAULT 'en' CHECK (language IN ('en', 'tr')),
    password_hash text NOT NULL,
    -- The account that the address has, since then or since before.
    account_id uuid REFERENCES auth.accounts ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX registrations_by_university ON auth.registrations (university_id);
CREATE INDEX registrations_by_email ON auth.registrations (email, created_at);
CREATE INDEX registrations_by_mailbox ON auth.registrations (mail.mailbox(email), created_at);
CREATE INDEX registrations_by_account ON auth.registrations (account_id);
CREATE INDEX registrations_by_expiry ON auth.registrations (expires_at);

-- Secrets that travel by mail; only their SHA-256 is kept. One works as long as its registration is kept,
-- so that a link that is opened twice says the same twice.
CREATE TABLE auth.registration_links (
    token_hash bytea PRIMARY KEY CHECK (length(token_hash) = 32),
    registration_id uuid NOT NULL REFERENCES auth.registrations ON DELETE CASCADE
);
CREATE INDEX registration_links_by_registration ON auth.registration_links (registration_id);

-- Accounts that were never verified become registrations. Those whose links still work are kept as well.
UPDATE auth.accounts a SET verified_at = created_at
WHERE verified_at IS NULL AND EXISTS (SELECT FROM feed.members m WHERE m.id = a.id);

INSERT INTO auth.registrations (id, university_id, email, username, display_name, language, password_hash,
                                account_id, created_at, expires_at)
SELECT id, university_id, email, username, display_name, language, password_hash,
       CASE WHEN verified_at IS NOT NULL THEN id END, created_at, now() + interval '1 day'
FROM auth.accounts a
WHERE verified_at IS NULL
   OR EXISTS (SELECT FROM auth.mail_tokens t WHERE t.account_id = a.id AND t.expires_at > now());

INSERT INTO auth.registration_links (token_hash, registration_id)
SELECT token_hash, account_id FROM auth.mail_tokens WHERE expires_at > now();

DROP TABLE auth.mail_tokens;
DELETE FROM auth.accounts WHERE verified_at IS NULL;
-- Without a default: what an older process would insert as not verified must fail.
ALTER TABLE auth.accounts ALTER COLUMN verified_at SET NOT NULL;

CREATE OR REPLACE VIEW auth.account_counts AS
SELECT 'verified' AS state, count(*) AS accounts FROM auth.accounts
UNION ALL
SELECT 'unverified', count(DISTINCT email)
FROM auth.registrations
WHERE account_id IS NULL AND expires_at > now();

-- A university is known by its own id: two of one name are two.
ALTER TABLE auth.universities
    DROP CONSTRAINT universities_name_key,
    -- What the operator's own lists call it.
    ADD COLUMN code text UNIQUE CHECK (code ~ '^[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}$'),
    ADD COLUMN country text NOT NULL DEFAULT '' CHECK (country ~ '^([A-Z]{2})?$');
CREATE INDEX universities_by_name ON auth.universities (name, country);

-- Which of a university's addresses may register, and what some of them say about their owners. A pattern is
-- a whole address with * and ?.
CREATE TABLE auth.address_rules (
    university_id uuid NOT NULL REFERENCES auth.universities ON DELETE CASCADE,
    position integer NOT NULL,
    kind text NOT NULL CHECK (kind IN ('allow', 'refuse', 'department')),
    pattern text NOT NULL CHECK (pattern = lower(pattern) AND char_length(pattern) BETWEEN 1 AND 254),
    department text NOT NULL DEFAULT '' CHECK (
        (kind = 'department') = (department <> '') AND char_length(department) <= 100
    ),
    PRIMARY KEY (university_id, position)
);

-- Two names with the same skeleton are taken for each other (UTS 39, 4). Names are ASCII and have no case,
-- so of its table these remain, read in either case: 0 and O; 1, I and l; m and rn; w and vv. Underscores
-- that nobody counts are left out.
CREATE FUNCTION auth.skeleton(username text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
RETURN btrim(regexp_replace(replace(replace(translate(username, '01i', 'oll'), 'm', 'rn'), 'w', 'vv'), '_+', '_', 'g'), '_');

ALTER TABLE auth.accounts
    ADD COLUMN username_skeleton text NOT NULL GENERATED ALWAYS AS (auth.skeleton(username)) STORED;
CREATE INDEX accounts_by_username_skeleton ON auth.accounts (username_skeleton);

-- What auth-service calls, in its own transaction, when a registration becomes an account.
DROP FUNCTION feed.create_member;
CREATE FUNCTION feed.create_member(
    account uuid, university uuid, username text, display_name text, department text DEFAULT ''
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = ''
AS $$
    INSERT INTO feed.members (id, university_id, username, display_name, department)
    VALUES (account, university, username, display_name, department)
$$;
REVOKE ALL ON FUNCTION feed.create_member FROM public;
GRANT EXECUTE ON FUNCTION feed.create_member TO chitlaq_auth;

CREATE POLICY resend_verification ON jobs.jobs TO chitlaq_auth USING (kind = 'resend_verification');

-- Members choose whether people who are not signed in find them in lists and by search. Private ones are not
-- found in any case.
ALTER TABLE feed.members ADD COLUMN is_found_from_outside boolean NOT NULL DEFAULT true;
CREATE OR REPLACE VIEW feed.listed_members AS
SELECT m.id, m.username, m.display_name, m.department, m.avatar_url, m.bio, u.name AS university,
       m.is_private, m.followers_count, m.search_text,
       m.is_found_from_outside AND NOT m.is_private AS is_found_from_outside
FROM feed.members m
JOIN auth.university_names u ON u.id = m.university_id;

CREATE OR REPLACE FUNCTION feed.findable_members(viewer uuid)
RETURNS SETOF feed.listed_members
LANGUAGE sql STABLE
AS $$
    SELECT m.*
    FROM feed.listed_members m
    WHERE (viewer IS NOT NULL OR m.is_found_from_outside)
      AND NOT EXISTS (SELECT FROM feed.block_pairs b
                      WHERE (b.blocker_id = m.id AND b.blocked_id = viewer)
                         OR (b.blocker_id = viewer AND b.blocked_id = m.id))
$$;
