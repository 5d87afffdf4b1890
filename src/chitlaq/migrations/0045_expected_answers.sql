-- What certain answers of services must contain, for checks: one that is well-formed may be empty, old, or wrong.

-- The latest posts that everybody may read, newest first.
CREATE FUNCTION feed.latest_public_posts(most integer) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
AS $$
    SELECT p.id FROM feed.readable_posts(NULL) p
    WHERE p.visibility = 'public' AND p.reply_to IS NULL
    ORDER BY p.id DESC LIMIT most
$$;

-- The username of somebody whom everybody may find, by chance; none if there is nobody. Of those who joined first, whom
-- the search knows for long.
CREATE FUNCTION feed.findable_username() RETURNS text
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = ''
AS $$
    SELECT f.username
    FROM (SELECT m.username FROM feed.findable_members(NULL) m ORDER BY m.id LIMIT 100) f
    ORDER BY random() LIMIT 1
$$;
REVOKE ALL ON FUNCTION feed.latest_public_posts, feed.findable_username FROM public;
GRANT EXECUTE ON FUNCTION feed.latest_public_posts, feed.findable_username TO chitlaq_ops;
