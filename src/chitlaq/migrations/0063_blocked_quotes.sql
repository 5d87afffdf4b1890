-- A block takes a quote away from everybody while it holds, and a frame has no quote that its reader may not read; a group
-- removes also who is leaving.

-- The blocks between two members, whoever blocks whom. In FROM, PostgreSQL inlines it.
CREATE FUNCTION feed.blocks_between(one uuid, other uuid) RETURNS SETOF feed.blocks
LANGUAGE sql STABLE
AS $$
    SELECT b.* FROM feed.blocks b WHERE b.blocker_id = one AND b.blocked_id = other
    UNION ALL
    SELECT b.* FROM feed.blocks b WHERE b.blocker_id = other AND b.blocked_id = one
$$;

-- Posts that are quoted, each by a member, as a viewer sees them there: those that the viewer may read, unless one of the
-- two blocks the other. Planned once, as feed.readable_by_id.
CREATE FUNCTION feed.shown_quotes(viewer uuid, quoting uuid[], posts uuid[])
RETURNS TABLE (
    quoting_id uuid, id uuid, version integer, author_id uuid, author_version integer, quote_of uuid, has_poll boolean,
    likes integer, replies integer, reposts integer, liked boolean, reposted boolean, bookmarked boolean
)
LANGUAGE plpgsql STABLE ROWS 10 SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    RETURN QUERY
    SELECT q.member, p.id, p.version, p.author_id, p.author_version, p.quote_of, p.has_poll, p.likes, p.replies,
           p.reposts, p.liked, p.reposted, p.bookmarked
    FROM unnest(shown_quotes.quoting, shown_quotes.posts) AS q (member, post)
    JOIN feed.readable_posts(shown_quotes.viewer) p ON p.id = q.post
    WHERE NOT EXISTS (SELECT FROM feed.blocks_between(q.member, p.author_id));
END
$$;

-- The audience of a new post among these members, and whether each sees what it quotes.
CREATE FUNCTION feed.news_for(post uuid, candidates uuid[]) RETURNS TABLE (id uuid, sees_quote boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
AS $$
    SELECT c.id,
           p.quote_of IS NULL
           OR EXISTS (SELECT FROM feed.permitted_posts(c.id) q
                      WHERE q.id = p.quote_of AND NOT EXISTS (SELECT FROM feed.blocks_between(p.author_id, q.author_id)))
    FROM feed.audience(post, candidates) AS c (id)
    JOIN feed.posts p ON p.id = post
$$;
REVOKE ALL ON FUNCTION feed.news_for FROM public;
GRANT EXECUTE ON FUNCTION feed.news_for TO chitlaq_websocket;

-- Who leaves has no card any more, but may still take part in groups.
CREATE OR REPLACE VIEW feed.member_ids AS SELECT id, username FROM feed.members;
