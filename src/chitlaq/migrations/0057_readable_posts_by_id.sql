-- Posts by their ids as a viewer sees them, planned once. As a statement of its own this was planned anew for each page of
-- one post, since PostgreSQL takes a plan for one id for cheaper than the plan for any number: 0.7 ms to plan, 0.05 to run.

-- Those of these posts that a viewer may read, as they see them.
CREATE FUNCTION feed.readable_by_id(viewer uuid, posts uuid[])
RETURNS TABLE (
    id uuid, version integer, author_id uuid, author_version integer, quote_of uuid, has_poll boolean,
    likes integer, replies integer, reposts integer, liked boolean, reposted boolean, bookmarked boolean
)
LANGUAGE plpgsql STABLE ROWS 10 SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    RETURN QUERY
    SELECT p.id, p.version, p.author_id, p.author_version, p.quote_of, p.has_poll, p.likes, p.replies, p.reposts,
           p.liked, p.reposted, p.bookmarked
    FROM feed.readable_posts(readable_by_id.viewer) p WHERE p.id = ANY (readable_by_id.posts);
END
$$;
