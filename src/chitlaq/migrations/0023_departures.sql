-- What a member may ask for: a copy of everything that is kept of them, and that all of it is erased. Each service
-- does its part under its own role, by a job of its own; when the last part is done, auth-service completes the whole.

CREATE TABLE auth.exports (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    account_id uuid NOT NULL REFERENCES auth.accounts ON DELETE CASCADE,
    requested_at timestamptz NOT NULL DEFAULT now(),
    -- The roles whose services have a part in it.
    contributors text[] NOT NULL CHECK (cardinality(contributors) > 0),
    ready_at timestamptz,
    -- Then it is deleted, with all its files.
    expires_at timestamptz NOT NULL,
    bytes bigint CHECK (bytes >= 0),
    CHECK ((ready_at IS NULL) = (bytes IS NULL))
);
CREATE INDEX exports_by_account ON auth.exports (account_id, id DESC);
CREATE INDEX exports_by_expiry ON auth.exports (expires_at);

-- The parts of an export that are complete, and their files, until they are packed.
CREATE TABLE auth.export_parts (
    export_id uuid NOT NULL REFERENCES auth.exports ON DELETE CASCADE,
    contributor text NOT NULL,
    PRIMARY KEY (export_id, contributor)
);
CREATE TABLE auth.export_files (
    export_id uuid NOT NULL REFERENCES auth.exports ON DELETE CASCADE,
    -- In the ZIP, without its suffix.
    name text NOT NULL CHECK (name ~ '^[a-z0-9-]+(/[a-z0-9-]+)*$'),
    title text NOT NULL,
    rows integer NOT NULL CHECK (rows >= 0),
    content bytea NOT NULL,
    PRIMARY KEY (export_id, name)
);

-- The ZIP, in pieces that a process can hold.
CREATE TABLE auth.export_chunks (
    export_id uuid NOT NULL REFERENCES auth.exports ON DELETE CASCADE,
    number integer NOT NULL CHECK (number >= 0),
    content bytea NOT NULL,
    PRIMARY KEY (export_id, number)
);
-- They are compressed already.
ALTER TABLE auth.export_chunks ALTER content SET STORAGE EXTERNAL;

-- Accounts whose owners have asked for their deletion. Until it begins they may keep them.
CREATE TABLE auth.departures (
    account_id uuid PRIMARY KEY REFERENCES auth.accounts ON DELETE CASCADE,
    requested_at timestamptz NOT NULL DEFAULT now(),
    erase_at timestamptz NOT NULL,
    erasing_since timestamptz,
    contributors text[] NOT NULL DEFAULT '{}',
    -- Those that have erased their part.
    erased text[] NOT NULL DEFAULT '{}',
    CHECK ((erasing_since IS NOT NULL) = (cardinality(contributors) > 0))
);
CREATE INDEX departures_by_time ON auth.departures (erase_at) WHERE erasing_since IS NULL;

-- Names that no new account gets: what others wrote to or about somebody who left must not become a stranger's.
-- Only a hash of each name's skeleton is kept: who has a name can ask whether it is one, and learns nothing else.
CREATE TABLE auth.retired_usernames (
    hash bytea PRIMARY KEY CHECK (length(hash) = 32)
);

GRANT DELETE ON mail.messages TO chitlaq_auth;

-- What each service calls in the transaction that ends its job. Who calls is the role that is connected.
CREATE FUNCTION auth.add_export_file(export uuid, name text, title text, rows integer, content bytea) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = ''
AS $$
    INSERT INTO auth.export_files (export_id, name, title, rows, content)
    SELECT e.id, replace(session_user, 'chitlaq_', '') || '/' || add_export_file.name, title, rows, content
    FROM auth.exports e WHERE e.id = export AND session_user = ANY (e.contributors) AND e.ready_at IS NULL
    ON CONFLICT (export_id, name) DO UPDATE SET title = excluded.title, rows = excluded.rows, content = excluded.content
$$;

-- The last part lets the export be packed. Those that end at once wait for each other.
CREATE FUNCTION auth.complete_export_part(export uuid, request_id text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    expected text[];
BEGIN
    SELECT e.contributors INTO expected FROM auth.exports e
    WHERE e.id = export AND session_user = ANY (e.contributors) AND e.ready_at IS NULL
    -- Others that store files hold a lock of the foreign key on it.
    FOR NO KEY UPDATE;
    IF expected IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO auth.export_parts (export_id, contributor) VALUES (export, session_user) ON CONFLICT DO NOTHING;
    IF (SELECT count(*) FROM auth.export_parts p WHERE p.export_id = export) = cardinality(expected) THEN
        INSERT INTO jobs.jobs (kind, payload, request_id)
        VALUES ('pack_export', jsonb_build_object('export_id', export), request_id);
    END IF;
END
$$;

-- The last part lets the account itself be erased.
CREATE FUNCTION auth.complete_erasure_part(account uuid, request_id text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    UPDATE auth.departures d SET erased = array_append(array_remove(d.erased, session_user::text), session_user::text)
    WHERE d.account_id = account AND session_user = ANY (d.contributors);
    INSERT INTO jobs.jobs (kind, payload, request_id)
    SELECT 'erase_account', jsonb_build_object('account_id', account), complete_erasure_part.request_id
    FROM auth.departures d WHERE d.account_id = account AND d.erased @> d.contributors;
END
$$;
REVOKE ALL ON FUNCTION auth.add_export_file, auth.complete_export_part, auth.complete_erasure_part FROM public;
GRANT EXECUTE ON FUNCTION auth.add_export_file, auth.complete_export_part, auth.complete_erasure_part
TO chitlaq_auth, chitlaq_feed, chitlaq_websocket;

-- Each role runs its own parts; auth-service asks for all of them.
GRANT USAGE ON SCHEMA jobs TO chitlaq_websocket;
GRANT SELECT, INSERT, UPDATE, DELETE ON jobs.jobs TO chitlaq_websocket;
CREATE POLICY own_parts ON jobs.jobs TO chitlaq_auth, chitlaq_feed, chitlaq_websocket
USING (kind IN ('export_from_' || current_user, 'erase_from_' || current_user));
CREATE POLICY ask_for_parts ON jobs.jobs FOR INSERT TO chitlaq_auth
WITH CHECK (kind LIKE 'export\_from\_chitlaq\_%' OR kind LIKE 'erase\_from\_chitlaq\_%');
CREATE POLICY departures ON jobs.jobs TO chitlaq_auth USING (kind IN ('pack_export', 'erase_account'));

-- Who is leaving is invisible to others: not found, not shown, not named.
ALTER TABLE feed.members ADD COLUMN hidden_at timestamptz;

-- What auth-service calls, in its own transaction, when a member leaves, and when they stay after all.
CREATE FUNCTION feed.hide_member(account uuid, is_hidden boolean) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    UPDATE feed.members SET hidden_at = CASE WHEN is_hidden THEN coalesce(hidden_at, now()) END WHERE id = account;
END;
REVOKE ALL ON FUNCTION feed.hide_member FROM public;
GRANT EXECUTE ON FUNCTION feed.hide_member TO chitlaq_auth;

CREATE OR REPLACE VIEW feed.member_cards AS
SELECT m.id, m.username, m.display_name, m.department, m.avatar_url, m.university_id, u.name AS university
FROM feed.members m
JOIN auth.university_names u ON u.id = m.university_id
WHERE m.hidden_at IS NULL;

CREATE OR REPLACE VIEW feed.listed_members AS
SELECT m.id, m.username, m.display_name, m.department, m.avatar_url, m.bio, u.name AS university,
       m.is_private, m.followers_count, m.search_text,
       m.is_found_from_outside AND NOT m.is_private AS is_found_from_outside
FROM feed.members m
JOIN auth.university_names u ON u.id = m.university_id
WHERE m.hidden_at IS NULL;

CREATE OR REPLACE FUNCTION feed.readable_posts(viewer uuid)
RETURNS TABLE (
    id uuid, author_id uuid, username text, display_name text, avatar_url text, text text,
    visibility text, reply_to uuid, likes integer, replies integer, reposts integer,
    created_at timestamptz, edited_at timestamptz, liked boolean
)
LANGUAGE sql STABLE
AS $$
    SELECT p.id, p.author_id, a.username, a.display_name, a.avatar_url, p.text,
           p.visibility, p.reply_to, p.likes_count, p.replies_count, p.reposts_count,
           p.created_at, p.edited_at,
           EXISTS (SELECT FROM feed.likes l WHERE l.post_id = p.id AND l.member_id = viewer)
    FROM feed.posts p
    JOIN feed.members a ON a.id = p.author_id
    WHERE p.deleted_at IS NULL AND a.hidden_at IS NULL
      AND CASE
          WHEN p.author_id = viewer THEN true
          WHEN p.visibility = 'self' THEN false
          WHEN EXISTS (SELECT FROM feed.blocks b WHERE b.blocker_id = p.author_id AND b.blocked_id = viewer)
            OR EXISTS (SELECT FROM feed.blocks b WHERE b.blocker_id = viewer AND b.blocked_id = p.author_id)
          THEN false
          WHEN (a.is_private OR p.visibility = 'followers')
           AND NOT EXISTS (SELECT FROM feed.follows f
                           WHERE f.follower_id = viewer AND f.followed_id = p.author_id)
          THEN false
          WHEN p.visibility = 'university'
          THEN EXISTS (SELECT FROM feed.members v
                       WHERE v.id = viewer AND v.university_id = coalesce(p.university_id, a.university_id))
          ELSE true
      END
$$;

-- What is left of an erased post that others have answered: its place in the thread.
ALTER TABLE feed.posts
    ALTER author_id DROP NOT NULL,
    DROP CONSTRAINT posts_text_check,
    ADD CONSTRAINT posts_text_check CHECK (
        CASE WHEN author_id IS NULL
        THEN text = '' AND deleted_at IS NOT NULL AND idempotency_key IS NULL
        ELSE char_length(text) BETWEEN 1 AND 5000 END
    );
CREATE INDEX posts_erased ON feed.posts (id) WHERE author_id IS NULL;
