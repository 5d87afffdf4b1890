-- name: bookmark (prepared)
-- Keep a post that the member may read, once; whether there is one.
WITH post AS MATERIALIZED (
    SELECT q.id FROM feed.permitted_posts($2) p JOIN feed.posts q ON q.id = p.id
    WHERE p.id = $1 AND q.deleted_at IS NULL
    FOR KEY SHARE OF q
), new AS (
    INSERT INTO feed.bookmarks (post_id, member_id) SELECT post.id, $2 FROM post ON CONFLICT DO NOTHING
)
SELECT EXISTS (SELECT FROM post);

-- name: remove_bookmark (prepared)
-- Keep a post no more.
DELETE FROM feed.bookmarks WHERE post_id = $1 AND member_id = $2;

-- name: bookmarked_posts
-- What a member keeps and may read, the latest bookmark first. Index: bookmarks_by_time.
SELECT p.id, p.version, p.author_id, p.author_version, p.quote_of, p.has_poll, p.likes, p.replies, p.reposts,
       p.liked, p.reposted, p.bookmarked, b.id AS entry
FROM feed.bookmarks b
CROSS JOIN LATERAL feed.readable_posts($1) p
WHERE b.member_id = $1 AND p.id = b.post_id AND ($2::uuid IS NULL OR b.id < $2)
ORDER BY b.id DESC
OFFSET $3 LIMIT $4;
