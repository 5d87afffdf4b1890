-- Members as others see them, and who follows, blocks or mutes whom.

CREATE SCHEMA feed;
GRANT USAGE ON SCHEMA feed TO chitlaq_auth, chitlaq_feed, chitlaq_search, chitlaq_websocket;
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS unaccent;

-- unaccent() is only STABLE, since its dictionary could be changed; with the dictionary named, and
-- ours never changed, the result may be indexed.
CREATE FUNCTION feed.folded(value text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
RETURN lower(public.unaccent('public.unaccent'::regdictionary, value));

CREATE TABLE feed.members (
    id uuid PRIMARY KEY REFERENCES auth.accounts ON DELETE CASCADE,
    university_id uuid NOT NULL REFERENCES auth.universities,
    username text NOT NULL UNIQUE CHECK (username ~ '^[a-z0-9_]{3,30}$'),
    display_name text NOT NULL CHECK (char_length(display_name) BETWEEN 1 AND 80),
    bio text NOT NULL DEFAULT '' CHECK (char_length(bio) <= 500),
    department text NOT NULL DEFAULT '' CHECK (char_length(department) <= 100),
    avatar_url text,
    is_private boolean NOT NULL DEFAULT false,
    followers_count integer NOT NULL DEFAULT 0 CHECK (followers_count >= 0),
    following_count integer NOT NULL DEFAULT 0 CHECK (following_count >= 0),
    posts_count integer NOT NULL DEFAULT 0 CHECK (posts_count >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    search_text text NOT NULL GENERATED ALWAYS AS (feed.folded(username || ' ' || display_name)) STORED
);
CREATE INDEX members_by_university ON feed.members (university_id);
CREATE INDEX members_by_search_text ON feed.members USING gin (search_text public.gin_trgm_ops);
CREATE INDEX members_by_username_prefix ON feed.members (username text_pattern_ops);

CREATE TABLE feed.follows (
    follower_id uuid NOT NULL REFERENCES feed.members ON DELETE CASCADE,
    followed_id uuid NOT NULL REFERENCES feed.members ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (follower_id, followed_id),
    CHECK (follower_id <> followed_id)
);
CREATE INDEX follows_by_followed ON feed.follows (followed_id, follower_id);

CREATE TABLE feed.blocks (
    blocker_id uuid NOT NULL REFERENCES feed.members ON DELETE CASCADE,
    blocked_id uuid NOT NULL REFERENCES feed.members ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (blocker_id, blocked_id),
    CHECK (blocker_id <> blocked_id)
);
CREATE INDEX blocks_by_blocked ON feed.blocks (blocked_id, blocker_id);

-- What auth-service calls, in its own transaction, when an address was verified.
CREATE FUNCTION feed.create_member(account uuid, university uuid, username text, display_name text)
RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = ''
AS $$
    INSERT INTO feed.members (id, university_id, username, display_name)
    VALUES (account, university, username, display_name)
$$;
REVOKE ALL ON FUNCTION feed.create_member FROM public;
GRANT EXECUTE ON FUNCTION feed.create_member TO chitlaq_auth;

-- A member's name and face, for whoever shows people.
CREATE VIEW feed.member_cards AS
SELECT m.id, m.username, m.display_name, m.department, m.avatar_url, m.university_id, u.name AS university
FROM feed.members m
JOIN auth.university_names u ON u.id = m.university_id;

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA feed TO chitlaq_feed;
GRANT SELECT ON feed.member_cards TO chitlaq_auth, chitlaq_websocket;

-- What search-service sees of members and blocks: these two views, never the tables.
CREATE VIEW feed.listed_members AS
SELECT m.id, m.username, m.display_name, m.department, m.avatar_url, m.bio, u.name AS university,
       m.is_private, m.followers_count, m.search_text
FROM feed.members m
JOIN auth.university_names u ON u.id = m.university_id;

CREATE VIEW feed.block_pairs AS SELECT blocker_id, blocked_id FROM feed.blocks;

GRANT SELECT ON feed.listed_members, feed.block_pairs TO chitlaq_search;

-- The one place that says whom a viewer may find by name. A viewer of NULL is someone not signed in.
-- A block hides both from each other; a private profile is found only by those who are signed in.
-- Being a plain SQL function in FROM it is expanded into the query that uses it.
CREATE FUNCTION feed.findable_members(viewer uuid)
RETURNS SETOF feed.listed_members
LANGUAGE sql STABLE
AS $$
    SELECT m.*
    FROM feed.listed_members m
    WHERE (viewer IS NOT NULL OR NOT m.is_private)
      AND NOT EXISTS (SELECT FROM feed.block_pairs b
                      WHERE (b.blocker_id = m.id AND b.blocked_id = viewer)
                         OR (b.blocker_id = viewer AND b.blocked_id = m.id))
$$;
