-- name: likers
-- Members who like a post, of those whom the viewer may see, by id. Index: likes' primary key.
SELECT c.id, c.username, c.display_name, c.department, c.university, c.avatar_url
FROM feed.likes l
CROSS JOIN LATERAL feed.visible_members($1) c
WHERE l.post_id = $2 AND c.id = l.member_id AND ($3::uuid IS NULL OR l.member_id > $3)
ORDER BY l.member_id
OFFSET $4 LIMIT $5;

-- name: reposters
-- Members who reposted a post, of those whom the viewer may see, by id. Index: reposts' primary key.
SELECT c.id, c.username, c.display_name, c.department, c.university, c.avatar_url
FROM feed.reposts s
CROSS JOIN LATERAL feed.visible_members($1) c
WHERE s.post_id = $2 AND c.id = s.member_id AND ($3::uuid IS NULL OR s.member_id > $3)
ORDER BY s.member_id
OFFSET $4 LIMIT $5;

-- name: quotes
-- Posts that quote one and that the viewer may read, newest first, but for those of who blocks its author or is blocked.
-- Index: posts_by_quoted.
SELECT p.id, p.version, p.author_id, p.author_version, p.quote_of, p.has_poll, p.likes, p.replies, p.reposts,
       p.liked, p.reposted, p.bookmarked
FROM feed.readable_posts($1) p
WHERE p.quote_of = $2 AND ($3::uuid IS NULL OR p.id < $3)
  AND NOT EXISTS (SELECT FROM feed.blocks_between(p.author_id, (SELECT q.author_id FROM feed.posts q WHERE q.id = $2)))
ORDER BY p.id DESC
OFFSET $4 LIMIT $5;

-- name: detach_quote
-- Take the author's own post out of another that quotes it; whether there is such a post of theirs.
WITH own AS MATERIALIZED (
    SELECT id FROM feed.posts WHERE id = $1 AND author_id = $2 AND deleted_at IS NULL
), detached AS (
    UPDATE feed.posts p SET quote_of = NULL, quote_detached = true, version = p.version + 1
    FROM own WHERE p.id = $3 AND p.quote_of = own.id
    RETURNING p.id
), told AS (
    INSERT INTO jobs.jobs (kind, payload, request_id)
    SELECT 'notify', jsonb_build_object('type', 'post', 'post_id', id), $4 FROM detached
)
SELECT EXISTS (SELECT FROM own);
