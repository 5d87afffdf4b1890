-- Profiles in full, what members let others do, requests to follow, mutes, and whom a viewer may see.

ALTER TABLE feed.members
    ADD COLUMN pronouns text NOT NULL DEFAULT '' CHECK (char_length(pronouns) <= 40),
    -- As in "class of 2027": unlike a year of study, it stays right by itself.
    ADD COLUMN graduation_year smallint CHECK (graduation_year BETWEEN 1900 AND 2100),
    -- Up to four pairs of a name and a value, in the order in which they are shown.
    ADD COLUMN fields jsonb NOT NULL DEFAULT '[]' CHECK (
        CASE jsonb_typeof(fields) WHEN 'array' THEN jsonb_array_length(fields) <= 4 ELSE false END
    ),
    ADD COLUMN banner_url text,
    ADD COLUMN may_mention text NOT NULL DEFAULT 'everyone'
        CHECK (may_mention IN ('everyone', 'university', 'followed', 'nobody')),
    ADD COLUMN may_find text NOT NULL DEFAULT 'everyone'
        CHECK (may_find IN ('everyone', 'university', 'followed', 'nobody')),
    ADD COLUMN may_see_followers text NOT NULL DEFAULT 'everyone'
        CHECK (may_see_followers IN ('everyone', 'university', 'followed', 'nobody'));
-- For suggestions. It replaces the index of the foreign key, which it begins with.
CREATE INDEX members_by_department ON feed.members (university_id, department);
DROP INDEX feed.members_by_university;

-- Who wants to follow a private member, and got no answer yet. The id is the order in which they asked.
CREATE TABLE feed.follow_requests (
    requester_id uuid NOT NULL REFERENCES feed.members ON DELETE CASCADE,
    requested_id uuid NOT NULL REFERENCES feed.members ON DELETE CASCADE,
    id uuid NOT NULL UNIQUE DEFAULT uuidv7(),
    PRIMARY KEY (requester_id, requested_id),
    CHECK (requester_id <> requested_id)
);
CREATE INDEX follow_requests_by_requested ON feed.follow_requests (requested_id, id);

-- Going public accepts those who wait.
CREATE POLICY accept_follow_requests ON jobs.jobs TO chitlaq_feed USING (kind = 'accept_follow_requests');

-- What members do not want to see in feeds; until null means for good. A mute makes nothing unreadable.
CREATE TABLE feed.mutes (
    member_id uuid NOT NULL REFERENCES feed.members ON DELETE CASCADE,
    muted_id uuid NOT NULL REFERENCES feed.members ON DELETE CASCADE,
    until timestamptz,
    PRIMARY KEY (member_id, muted_id),
    CHECK (member_id <> muted_id)
);
CREATE INDEX mutes_by_muted ON feed.mutes (muted_id);

-- The words of a text, folded and set apart by single spaces: one text contains another as whole words if its words
-- contain the other's words. NFKC and case-folding make spellings equal, as well as dotted and dotless i; what shows
-- nothing is left out; marks stay with their letters. Scripts that set no spaces between words have a word for each
-- character, so there any part of a text is found. Emoji are words, other signs are not.
CREATE FUNCTION feed.words_of(value text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT regexp_replace(
        ' ' || regexp_replace(
            replace(replace(
                casefold(
                    regexp_replace(
                        normalize(value, NFKC) COLLATE pg_unicode_fast,
                        U&'[\00AD\034F\200B-\200F\202A-\202E\2060-\2069\FE00-\FE0F\FEFF]', '', 'g'
                    )
                ),
                U&'i\0307', 'i'), U&'\0131', 'i'
            ) COLLATE pg_c_utf8,
            -- Thai and Lao, Tibetan, Burmese, Khmer, Tai, hiragana, Han, emoji.
            U&'([\0E00-\0FFF\1000-\109F\1780-\17FF\1950-\19DF\1A20-\1AAF\3040-\309F\3400-\4DBF\4E00-\9FFF\A9E0-\A9FF'
            '\AA60-\AADF\F900-\FAFF\+020000-\+03FFFF\2600-\27BF\+01F000-\+01FAFF])',
            ' \1 ', 'g'
        ) || ' ',
        U&'(?:(?![\2600-\27BF\+01F000-\+01FAFF])[[:space:][:punct:][:cntrl:]])+', ' ', 'g'
    )
$$;

-- As the member wrote it, and as it is matched: a word or several.
CREATE TABLE feed.muted_words (
    member_id uuid NOT NULL REFERENCES feed.members ON DELETE CASCADE,
    word text NOT NULL CHECK (char_length(word) BETWEEN 1 AND 100),
    until timestamptz,
    words text NOT NULL GENERATED ALWAYS AS (feed.words_of(word)) STORED CHECK (words <> ' '),
    PRIMARY KEY (member_id, words)
);

CREATE TABLE feed.muted_tags (
    member_id uuid NOT NULL REFERENCES feed.members ON DELETE CASCADE,
    tag text NOT NULL CHECK (char_length(tag) BETWEEN 1 AND 100),
    until timestamptz,
    PRIMARY KEY (member_id, tag)
);

-- By the post that a thread begins with.
CREATE TABLE feed.muted_threads (
    member_id uuid NOT NULL REFERENCES feed.members ON DELETE CASCADE,
    post_id uuid NOT NULL REFERENCES feed.posts ON DELETE CASCADE,
    PRIMARY KEY (member_id, post_id)
);
CREATE INDEX muted_threads_by_post ON feed.muted_threads (post_id);

-- Whose posts a viewer does not want to see now.
CREATE FUNCTION feed.muted_authors(viewer uuid) RETURNS SETOF uuid
LANGUAGE sql STABLE
AS $$
    SELECT m.muted_id FROM feed.mutes m WHERE m.member_id = viewer AND (m.until IS NULL OR m.until > now())
$$;

-- A row if the viewer mutes the post, by its author, its thread (the id of the post that it begins with; the post's own
-- if it is no reply), a hashtag, or a word: `NOT EXISTS (SELECT FROM feed.mutes_against(…))`. In FROM, PostgreSQL inlines
-- it. The words of a text are found only for who mutes any: that takes 50 µs.
CREATE FUNCTION feed.mutes_against(viewer uuid, author uuid, post uuid, thread uuid) RETURNS SETOF boolean
LANGUAGE sql STABLE
AS $$
    SELECT true
    WHERE author <> viewer
      AND (EXISTS (SELECT FROM feed.mutes m
                   WHERE m.member_id = viewer AND m.muted_id = author AND (m.until IS NULL OR m.until > now()))
           OR EXISTS (SELECT FROM feed.muted_threads t WHERE t.member_id = viewer AND t.post_id = thread)
           OR EXISTS (SELECT FROM feed.muted_tags t JOIN feed.post_tags p ON p.tag = t.tag AND p.post_id = post
                      WHERE t.member_id = viewer AND (t.until IS NULL OR t.until > now()))
           OR EXISTS (SELECT FROM (SELECT array_agg(w.words) AS muted FROM feed.muted_words w
                                   WHERE w.member_id = viewer AND (w.until IS NULL OR w.until > now())
                                   HAVING count(*) > 0) w
                      CROSS JOIN LATERAL (SELECT feed.words_of(concat_ws(' ', p.content_warning, p.text)) AS words
                                          FROM feed.posts p WHERE p.id = post AND w.muted IS NOT NULL OFFSET 0) t
                      WHERE EXISTS (SELECT FROM unnest(w.muted) AS one WHERE strpos(t.words, one) > 0)))
$$;

-- The same for who mutes more than people: few do, and a query of pages does not begin with it.
CREATE FUNCTION feed.is_muted(viewer uuid, author uuid, post uuid, thread uuid) RETURNS boolean
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM feed.mutes_against(viewer, author, post, thread));
END
$$;

-- The same for a query of many posts: whose posts a viewer mutes, and whether the viewer mutes anything besides, so that
-- nothing is asked for each post if not.
CREATE FUNCTION feed.mutes_of(viewer uuid) RETURNS TABLE (authors uuid[], is_more boolean)
LANGUAGE sql STABLE
AS $$
    SELECT ARRAY(SELECT a FROM feed.muted_authors(viewer) a),
           EXISTS (SELECT FROM feed.muted_words w WHERE w.member_id = viewer)
           OR EXISTS (SELECT FROM feed.muted_tags t WHERE t.member_id = viewer)
           OR EXISTS (SELECT FROM feed.muted_threads t WHERE t.member_id = viewer)
$$;

-- The one place that says whom a viewer may see in lists of people. A viewer of null is someone not signed in.
CREATE FUNCTION feed.visible_members(viewer uuid)
RETURNS TABLE (id uuid, username text, display_name text, department text, university text, avatar_url text)
LANGUAGE sql STABLE
AS $$
    SELECT m.id, m.username, m.display_name, m.department, u.name, m.avatar_url
    FROM feed.members m
    JOIN auth.university_names u ON u.id = m.university_id
    WHERE m.hidden_at IS NULL
      AND (viewer IS NOT NULL OR (m.is_found_from_outside AND NOT m.is_private))
      AND NOT EXISTS (SELECT FROM feed.blocks b WHERE b.blocker_id = m.id AND b.blocked_id = viewer)
      AND NOT EXISTS (SELECT FROM feed.blocks b WHERE b.blocker_id = viewer AND b.blocked_id = m.id)
$$;

CREATE OR REPLACE VIEW feed.listed_members AS
SELECT m.id, m.username, m.display_name, m.department, m.avatar_url, m.bio, u.name AS university,
       m.is_private, m.followers_count, m.search_text,
       m.is_found_from_outside AND NOT m.is_private AND m.may_find = 'everyone' AS is_found_from_outside,
       m.may_find, m.university_id
FROM feed.members m
JOIN auth.university_names u ON u.id = m.university_id
WHERE m.hidden_at IS NULL;
GRANT SELECT ON feed.follow_pairs TO chitlaq_search;

-- A row if a viewer who is signed in belongs to those whom a member lets do something.
CREATE FUNCTION feed.admitted(audience text, member uuid, viewer uuid) RETURNS SETOF boolean
LANGUAGE sql STABLE
AS $$
    SELECT true
    WHERE CASE
        WHEN audience = 'everyone' OR member = viewer THEN true
        WHEN audience = 'university'
        THEN EXISTS (SELECT FROM feed.listed_members m JOIN feed.listed_members v ON v.university_id = m.university_id
                     WHERE m.id = member AND v.id = viewer)
        WHEN audience = 'followed'
        THEN EXISTS (SELECT FROM feed.follow_pairs f WHERE f.follower_id = member AND f.followed_id = viewer)
        ELSE false
    END
$$;

CREATE OR REPLACE FUNCTION feed.findable_members(viewer uuid)
RETURNS SETOF feed.listed_members
LANGUAGE sql STABLE
AS $$
    SELECT m.*
    FROM feed.listed_members m
    WHERE CASE WHEN viewer IS NULL THEN m.is_found_from_outside
               ELSE EXISTS (SELECT FROM feed.admitted(m.may_find, m.id, viewer)) END
      AND NOT EXISTS (SELECT FROM feed.block_pairs b
                      WHERE (b.blocker_id = m.id AND b.blocked_id = viewer)
                         OR (b.blocker_id = viewer AND b.blocked_id = m.id))
$$;

-- Whom a member may mention.
CREATE OR REPLACE FUNCTION feed.mentionable_members(viewer uuid) RETURNS TABLE (id uuid, username text)
LANGUAGE sql STABLE
AS $$
    SELECT v.id, v.username
    FROM feed.visible_members(viewer) v
    JOIN feed.members m ON m.id = v.id
    WHERE v.id <> viewer AND EXISTS (SELECT FROM feed.admitted(m.may_mention, m.id, viewer))
$$;

-- Who may message a member is chat's to decide, and stored there; it is set with the rest of one's privacy.
GRANT USAGE ON SCHEMA websocket TO chitlaq_feed;
CREATE VIEW websocket.message_audiences AS SELECT account_id, may_message FROM websocket.privacy;
CREATE FUNCTION websocket.set_message_audience(account uuid, audience text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = ''
AS $$
    INSERT INTO websocket.privacy AS p (account_id, may_message) VALUES (account, audience)
    ON CONFLICT (account_id) DO UPDATE SET may_message = excluded.may_message
$$;
REVOKE ALL ON FUNCTION websocket.set_message_audience FROM public;
GRANT EXECUTE ON FUNCTION websocket.set_message_audience TO chitlaq_feed;

-- Who takes part in groups, for suggestions.
CREATE VIEW websocket.group_members AS
SELECT p.conversation_id, p.account_id
FROM websocket.participants p
JOIN websocket.conversations c ON c.id = p.conversation_id
WHERE c.kind = 'group' AND p.state = 'joined';
GRANT SELECT ON websocket.message_audiences, websocket.group_members TO chitlaq_feed;

-- Of about as many members as are to be looked at, chosen by chance: counters that are not what they count.
CREATE FUNCTION feed.counter_faults(looked_at integer)
RETURNS TABLE (member_id uuid, counter text, stored integer, counted integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
AS $$
    WITH chosen AS MATERIALIZED (
        SELECT m.id, m.followers_count, m.following_count
        FROM feed.members m TABLESAMPLE SYSTEM (least(100, 100.0 * looked_at / greatest(
            1, (SELECT c.reltuples FROM pg_catalog.pg_class c WHERE c.oid = 'feed.members'::regclass)
        )))
    )
    SELECT c.id, 'followers', c.followers_count, n.counted
    FROM chosen c
    CROSS JOIN LATERAL (SELECT count(*)::integer AS counted FROM feed.follows f WHERE f.followed_id = c.id) n
    WHERE n.counted <> c.followers_count
    UNION ALL
    SELECT c.id, 'following', c.following_count, n.counted
    FROM chosen c
    CROSS JOIN LATERAL (SELECT count(*)::integer AS counted FROM feed.follows f WHERE f.follower_id = c.id) n
    WHERE n.counted <> c.following_count
$$;
REVOKE ALL ON FUNCTION feed.counter_faults FROM public;
GRANT EXECUTE ON FUNCTION feed.counter_faults TO chitlaq_ops;
CREATE POLICY repair_counters ON jobs.jobs TO chitlaq_feed USING (kind = 'repair_counters');
