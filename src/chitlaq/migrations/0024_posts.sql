-- Posts in full: threads, quotes, reposts, bookmarks, mentions, edits; and who may read a post, told apart from
-- what is shown of it (docs/feed.md).

-- Rises when what others see of a member in a post changes: name and face are cached by it.
ALTER TABLE feed.members ADD COLUMN version integer NOT NULL DEFAULT 1;
CREATE FUNCTION feed.renew_member() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    NEW.version := OLD.version + 1;
    RETURN NEW;
END
$$;
CREATE TRIGGER renew_member BEFORE UPDATE OF username, display_name, avatar_url ON feed.members
FOR EACH ROW
WHEN ((OLD.username, OLD.display_name, OLD.avatar_url)
      IS DISTINCT FROM (NEW.username, NEW.display_name, NEW.avatar_url))
EXECUTE FUNCTION feed.renew_member();

ALTER TABLE feed.posts
    -- Rises with each change of what the post says; its content is cached by it.
    ADD COLUMN version integer NOT NULL DEFAULT 1,
    -- The post that began the thread; null for one that begins it.
    ADD COLUMN root_id uuid,
    ADD COLUMN quote_of uuid REFERENCES feed.posts ON DELETE SET NULL,
    ADD COLUMN quotable_by text NOT NULL DEFAULT 'everyone' CHECK (quotable_by IN ('everyone', 'followers', 'nobody')),
    ADD COLUMN content_warning text CHECK (char_length(content_warning) BETWEEN 1 AND 200),
    ADD COLUMN has_poll boolean NOT NULL DEFAULT false,
    ADD COLUMN has_media boolean NOT NULL DEFAULT false,
    -- Whether not everybody may read it who may read its parent. replies_count counts the other replies only,
    -- restricted_replies_count these: a viewer is told of what they may read.
    ADD COLUMN is_restricted boolean NOT NULL DEFAULT false,
    ADD COLUMN restricted_replies_count integer NOT NULL DEFAULT 0 CHECK (restricted_replies_count >= 0),
    -- SHA-256 of the request that made it: with the same idempotency key it is the same request, whatever was
    -- edited since.
    ADD COLUMN request_hash bytea CHECK (length(request_hash) = 32),
    DROP CONSTRAINT posts_visibility_check,
    ADD CONSTRAINT posts_visibility_check
        CHECK (visibility IN ('public', 'university', 'followers', 'self', 'mentioned')),
    -- Of a deleted post nothing is kept but its place in the thread.
    DROP CONSTRAINT posts_text_check,
    ADD CONSTRAINT posts_author_check CHECK (author_id IS NOT NULL OR deleted_at IS NOT NULL);

WITH RECURSIVE threads (id, root_id) AS (
    SELECT c.id, p.id FROM feed.posts p JOIN feed.posts c ON c.reply_to = p.id WHERE p.reply_to IS NULL
    UNION ALL
    SELECT c.id, t.root_id FROM threads t JOIN feed.posts c ON c.reply_to = t.id
)
UPDATE feed.posts p SET root_id = t.root_id FROM threads t WHERE p.id = t.id;
UPDATE feed.posts SET text = '', edited_at = NULL WHERE deleted_at IS NOT NULL;
DELETE FROM feed.post_tags t USING feed.posts p WHERE p.id = t.post_id AND p.deleted_at IS NOT NULL;
ALTER TABLE feed.posts ADD CONSTRAINT posts_text_check CHECK (
    CASE WHEN deleted_at IS NULL THEN char_length(text) <= 5000 AND (text <> '' OR has_media)
    ELSE text = '' AND content_warning IS NULL END
);
UPDATE feed.posts p SET is_restricted = true
FROM feed.members a
WHERE a.id = p.author_id AND (p.visibility <> 'public' OR a.is_private OR a.hidden_at IS NOT NULL);
UPDATE feed.posts p
SET replies_count = r.open, restricted_replies_count = r.restricted
FROM (SELECT reply_to AS id, count(*) FILTER (WHERE NOT is_restricted) AS open,
             count(*) FILTER (WHERE is_restricted) AS restricted
      FROM feed.posts WHERE reply_to IS NOT NULL AND deleted_at IS NULL GROUP BY 1) r
WHERE p.id = r.id;

DROP INDEX feed.posts_by_parent;
CREATE INDEX posts_by_parent ON feed.posts (reply_to, id) INCLUDE (author_id) WHERE reply_to IS NOT NULL;
CREATE INDEX posts_restricted ON feed.posts (reply_to) WHERE reply_to IS NOT NULL AND is_restricted;
CREATE INDEX posts_by_quoted ON feed.posts (quote_of, id DESC) WHERE quote_of IS NOT NULL;
-- Threads are rooted in posts that others have answered: what is erased of them keeps its row.
CREATE INDEX posts_by_root ON feed.posts (root_id) WHERE root_id IS NOT NULL;

CREATE INDEX posts_with_media ON feed.posts (author_id, id DESC) WHERE has_media AND deleted_at IS NULL;

-- posts_count counts public posts; how many others a viewer may read is asked (feed.posts_seen).
UPDATE feed.members m
SET posts_count = (SELECT count(*) FROM feed.posts p
                   WHERE p.author_id = m.id AND p.visibility = 'public' AND p.deleted_at IS NULL);
CREATE INDEX posts_not_public ON feed.posts (author_id) WHERE visibility <> 'public' AND deleted_at IS NULL;

-- A repost is an entry of its own in timelines, with the time of its id.
CREATE TABLE feed.reposts (
    post_id uuid NOT NULL REFERENCES feed.posts ON DELETE CASCADE,
    member_id uuid NOT NULL REFERENCES feed.members ON DELETE CASCADE,
    id uuid NOT NULL UNIQUE DEFAULT uuidv7(),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (post_id, member_id)
);
CREATE INDEX reposts_by_member ON feed.reposts (member_id, id DESC);

CREATE TABLE feed.bookmarks (
    member_id uuid NOT NULL REFERENCES feed.members ON DELETE CASCADE,
    post_id uuid NOT NULL REFERENCES feed.posts ON DELETE CASCADE,
    id uuid NOT NULL DEFAULT uuidv7(),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (member_id, post_id)
);
CREATE INDEX bookmarks_by_post ON feed.bookmarks (post_id);
CREATE INDEX bookmarks_by_time ON feed.bookmarks (member_id, id DESC);

CREATE TABLE feed.post_mentions (
    post_id uuid NOT NULL REFERENCES feed.posts ON DELETE CASCADE,
    member_id uuid NOT NULL REFERENCES feed.members ON DELETE CASCADE,
    PRIMARY KEY (post_id, member_id)
);
CREATE INDEX post_mentions_by_member ON feed.post_mentions (member_id, post_id DESC);

-- What an edited post said before.
CREATE TABLE feed.post_edits (
    post_id uuid NOT NULL REFERENCES feed.posts ON DELETE CASCADE,
    replaced_at timestamptz NOT NULL DEFAULT now(),
    text text NOT NULL,
    content_warning text,
    PRIMARY KEY (post_id, replaced_at)
);

-- The one place that says who may read a post: the posts that a viewer may read. A viewer of NULL is someone not
-- signed in. Being a plain SQL function in FROM it is expanded into the query that uses it, so it costs no call.
-- What is asked once for the viewer stands in a subquery that OFFSET keeps whole. What is asked for each post is a
-- scalar subquery and no EXISTS, of which PostgreSQL may make a hash of all that the viewer follows, for each page.
CREATE FUNCTION feed.permitted_posts(viewer uuid)
RETURNS TABLE (
    id uuid, version integer, author_id uuid, author_version integer, author_university_id uuid, visibility text,
    reply_to uuid, root_id uuid, quote_of uuid, has_poll boolean, has_media boolean, likes_count integer,
    replies_count integer, restricted_replies_count integer, reposts_count integer, created_at timestamptz,
    strangers uuid[]
)
LANGUAGE sql STABLE
AS $$
    SELECT p.id, p.version, p.author_id, a.version, a.university_id, p.visibility, p.reply_to, p.root_id, p.quote_of,
           p.has_poll, p.has_media, p.likes_count, p.replies_count, p.restricted_replies_count, p.reposts_count,
           p.created_at, v.strangers
    FROM (SELECT ARRAY(SELECT b.blocked_id FROM feed.blocks b WHERE b.blocker_id = viewer
                       UNION ALL
                       SELECT b.blocker_id FROM feed.blocks b WHERE b.blocked_id = viewer) AS strangers,
                 (SELECT m.university_id FROM feed.members m WHERE m.id = viewer) AS university_id
          OFFSET 0) v
    CROSS JOIN feed.posts p
    JOIN feed.members a ON a.id = p.author_id
    WHERE p.deleted_at IS NULL AND a.hidden_at IS NULL
      AND CASE
          WHEN p.author_id = viewer THEN true
          WHEN p.visibility = 'self' OR p.author_id = ANY (v.strangers) THEN false
          WHEN p.visibility = 'mentioned'
          THEN (SELECT true FROM feed.post_mentions n WHERE n.post_id = p.id AND n.member_id = viewer) IS NOT NULL
          WHEN (a.is_private OR p.visibility = 'followers')
           AND (SELECT true FROM feed.follows f
                WHERE f.follower_id = viewer AND f.followed_id = p.author_id) IS NULL
          THEN false
          WHEN p.visibility = 'university' THEN v.university_id = coalesce(p.university_id, a.university_id)
          ELSE true
      END
$$;

-- What the counters of a post hold of these members. In PL/pgSQL, and so not part of the queries that ask it for few
-- posts: each would be planned, and begin, with it.
CREATE FUNCTION feed.counted_of(members uuid[], post uuid, OUT likes integer, OUT replies integer, OUT reposts integer)
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    likes := (SELECT count(*) FROM feed.likes l WHERE l.post_id = post AND l.member_id = ANY (members));
    replies := (SELECT count(*) FROM feed.posts r
                WHERE r.reply_to = post AND r.author_id = ANY (members) AND r.deleted_at IS NULL AND NOT r.is_restricted);
    reposts := (SELECT count(*) FROM feed.reposts s WHERE s.post_id = post AND s.member_id = ANY (members));
END
$$;

-- How many restricted replies to a post a viewer may read.
CREATE FUNCTION feed.restricted_replies_seen(viewer uuid, post uuid) RETURNS integer
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RETURN (SELECT count(*) FROM feed.posts r CROSS JOIN LATERAL feed.permitted_posts(viewer) one
            WHERE r.reply_to = post AND r.is_restricted AND one.id = r.id);
END
$$;

-- The same with what each viewer sees beside the content: counters without what they may not see, and what they
-- did themselves. `version` and `author_version` name the content, which is the same for all.
DROP FUNCTION feed.readable_posts;
CREATE FUNCTION feed.readable_posts(viewer uuid)
RETURNS TABLE (
    id uuid, version integer, author_id uuid, author_version integer, quote_of uuid, has_poll boolean,
    likes integer, replies integer, reposts integer, liked boolean, reposted boolean, bookmarked boolean,
    visibility text, reply_to uuid, root_id uuid, has_media boolean, author_university_id uuid, created_at timestamptz
)
LANGUAGE sql STABLE
AS $$
    SELECT p.id, p.version, p.author_id, p.author_version, p.quote_of, p.has_poll,
           p.likes_count - CASE WHEN p.likes_count = 0 OR p.strangers = '{}' THEN 0
                           ELSE (feed.counted_of(p.strangers, p.id)).likes END,
           p.replies_count - CASE WHEN p.replies_count = 0 OR p.strangers = '{}' THEN 0
                             ELSE (feed.counted_of(p.strangers, p.id)).replies END
           + CASE WHEN p.restricted_replies_count = 0 OR viewer IS NULL THEN 0
             ELSE feed.restricted_replies_seen(viewer, p.id) END,
           p.reposts_count - CASE WHEN p.reposts_count = 0 OR p.strangers = '{}' THEN 0
                             ELSE (feed.counted_of(p.strangers, p.id)).reposts END,
           EXISTS (SELECT FROM feed.likes l WHERE l.post_id = p.id AND l.member_id = viewer),
           EXISTS (SELECT FROM feed.reposts s WHERE s.post_id = p.id AND s.member_id = viewer),
           EXISTS (SELECT FROM feed.bookmarks b WHERE b.member_id = viewer AND b.post_id = p.id),
           p.visibility, p.reply_to, p.root_id, p.has_media, p.author_university_id, p.created_at
    FROM feed.permitted_posts(viewer) p
$$;

-- Posts that a member may quote: their own, and others' that are for many and whose authors allow it.
CREATE FUNCTION feed.quotable_posts(viewer uuid)
RETURNS TABLE (id uuid)
LANGUAGE sql STABLE
AS $$
    SELECT p.id
    FROM feed.permitted_posts(viewer) p
    JOIN feed.posts q ON q.id = p.id
    WHERE p.author_id = viewer
       OR p.visibility IN ('public', 'university')
          AND (q.quotable_by = 'everyone'
               OR q.quotable_by = 'followers'
                  AND EXISTS (SELECT FROM feed.follows f WHERE f.follower_id = viewer AND f.followed_id = p.author_id))
$$;

-- Members whom a member may mention.
CREATE FUNCTION feed.mentionable_members(viewer uuid)
RETURNS TABLE (id uuid, username text)
LANGUAGE sql STABLE
AS $$
    SELECT m.id, m.username
    FROM feed.members m
    WHERE m.hidden_at IS NULL AND m.id <> viewer
      AND NOT EXISTS (SELECT FROM feed.blocks b
                      WHERE b.blocker_id = m.id AND b.blocked_id = viewer OR b.blocker_id = viewer AND b.blocked_id = m.id)
$$;

-- How many posts of a member a viewer may read. Indexes: posts_not_public, follows' primary key.
CREATE FUNCTION feed.posts_seen(viewer uuid, member uuid) RETURNS integer
LANGUAGE sql STABLE
RETURN (
    SELECT CASE
        WHEN m.id = viewer THEN m.posts_count
        WHEN m.is_private AND NOT EXISTS (SELECT FROM feed.follows f WHERE f.follower_id = viewer AND f.followed_id = m.id)
          OR EXISTS (SELECT FROM feed.blocks b
                     WHERE (b.blocker_id, b.blocked_id) IN ((viewer, member), (member, viewer)))
        THEN 0
        ELSE m.posts_count END
    + (SELECT count(*)::integer
       FROM feed.posts p CROSS JOIN LATERAL feed.permitted_posts(viewer) one
       WHERE p.author_id = m.id AND p.visibility <> 'public' AND p.deleted_at IS NULL AND one.id = p.id)
    FROM feed.members m WHERE m.id = member
);

-- Of these members, the ones to whom a new post is news: they follow its author and may read it.
CREATE OR REPLACE FUNCTION feed.audience(post uuid, candidates uuid[])
RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
AS $$
    SELECT c.id
    FROM unnest(candidates) AS c (id)
    CROSS JOIN LATERAL feed.permitted_posts(c.id) AS p
    WHERE p.id = post
      AND EXISTS (SELECT FROM feed.follows f
                  WHERE f.follower_id = c.id AND f.followed_id = p.author_id)
$$;

-- Let the replies of a member count, or not, for those who may not read them: after the account became private,
-- public, hidden or visible again.
CREATE FUNCTION feed.restrict_replies() RETURNS trigger
LANGUAGE plpgsql
AS $$
DECLARE
    is_restricted_now boolean := NEW.is_private OR NEW.hidden_at IS NOT NULL;
BEGIN
    -- Two statements, since one changes a row once: members answer their own posts. The other counts what this one is
    -- about to change; whoever writes, changes or deletes a post locks its author, so nothing comes between.
    UPDATE feed.posts p
    SET replies_count = p.replies_count - c.moved, restricted_replies_count = p.restricted_replies_count + c.moved
    FROM (SELECT r.reply_to AS id, CASE WHEN is_restricted_now THEN 1 ELSE -1 END * count(*)::integer AS moved
          FROM feed.posts r
          WHERE r.author_id = NEW.id AND r.deleted_at IS NULL AND r.visibility = 'public' AND r.reply_to IS NOT NULL
            AND r.is_restricted <> is_restricted_now
          GROUP BY 1) c
    WHERE p.id = c.id;
    UPDATE feed.posts p SET is_restricted = is_restricted_now
    WHERE p.author_id = NEW.id AND p.deleted_at IS NULL AND p.visibility = 'public'
      AND p.is_restricted <> is_restricted_now;
    RETURN NULL;
END
$$;
CREATE TRIGGER restrict_replies AFTER UPDATE OF is_private, hidden_at ON feed.members
FOR EACH ROW
WHEN ((OLD.is_private OR OLD.hidden_at IS NOT NULL) <> (NEW.is_private OR NEW.hidden_at IS NOT NULL))
EXECUTE FUNCTION feed.restrict_replies();
-- What follows changes members through functions of other services' roles too.
ALTER FUNCTION feed.restrict_replies SECURITY DEFINER SET search_path = '';
REVOKE ALL ON FUNCTION feed.restrict_replies FROM public;

CREATE POLICY deliver_repost ON jobs.jobs TO chitlaq_feed USING (kind = 'deliver_repost');
