-- Posts, who may read them, and the deliveries that are still to be made.

CREATE TABLE feed.posts (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    author_id uuid NOT NULL REFERENCES feed.members ON DELETE CASCADE,
    text text NOT NULL CHECK (char_length(text) BETWEEN 1 AND 5000),
    visibility text NOT NULL DEFAULT 'public'
        CHECK (visibility IN ('public', 'university', 'followers', 'self')),
    reply_to uuid REFERENCES feed.posts,
    likes_count integer NOT NULL DEFAULT 0 CHECK (likes_count >= 0),
    replies_count integer NOT NULL DEFAULT 0 CHECK (replies_count >= 0),
    reposts_count integer NOT NULL DEFAULT 0 CHECK (reposts_count >= 0),
    idempotency_key text CHECK (char_length(idempotency_key) BETWEEN 1 AND 200),
    created_at timestamptz NOT NULL DEFAULT now(),
    edited_at timestamptz,
    deleted_at timestamptz,
    UNIQUE (author_id, idempotency_key)
);
CREATE INDEX posts_by_author ON feed.posts (author_id, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX posts_by_parent ON feed.posts (reply_to, id) WHERE reply_to IS NOT NULL;
CREATE INDEX posts_public ON feed.posts (id DESC)
    WHERE visibility = 'public' AND reply_to IS NULL AND deleted_at IS NULL;

CREATE TABLE feed.post_tags (
    tag text NOT NULL CHECK (char_length(tag) BETWEEN 1 AND 100),
    post_id uuid NOT NULL REFERENCES feed.posts ON DELETE CASCADE,
    PRIMARY KEY (tag, post_id)
);
CREATE INDEX post_tags_by_post ON feed.post_tags (post_id);

CREATE TABLE feed.likes (
    post_id uuid NOT NULL REFERENCES feed.posts ON DELETE CASCADE,
    member_id uuid NOT NULL REFERENCES feed.members ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (post_id, member_id)
);
CREATE INDEX likes_by_member ON feed.likes (member_id);

-- A post that is not yet in its followers' timelines and not yet announced. Written with the post,
-- deleted when that is done; whatever stays is picked up by any process of feed-service.
CREATE TABLE feed.deliveries (
    post_id uuid PRIMARY KEY REFERENCES feed.posts ON DELETE CASCADE,
    request_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX deliveries_by_age ON feed.deliveries (created_at);

-- The one place that says who may read a post. A viewer of NULL is someone not signed in. Being a
-- plain SQL function in FROM it is expanded into the query that uses it, so it costs no call.
CREATE FUNCTION feed.readable_posts(viewer uuid)
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
    WHERE p.deleted_at IS NULL
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
                       WHERE v.id = viewer AND v.university_id = a.university_id)
          ELSE true
      END
$$;

-- Of these members, the ones to whom a new post is news: they follow its author and may read it.
CREATE FUNCTION feed.audience(post uuid, candidates uuid[])
RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
AS $$
    SELECT c.id
    FROM unnest(candidates) AS c (id)
    CROSS JOIN LATERAL feed.readable_posts(c.id) AS p
    WHERE p.id = post
      AND EXISTS (SELECT FROM feed.follows f
                  WHERE f.follower_id = c.id AND f.followed_id = p.author_id)
$$;
REVOKE ALL ON FUNCTION feed.audience FROM public;
GRANT EXECUTE ON FUNCTION feed.audience TO chitlaq_websocket;

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA feed TO chitlaq_feed;
