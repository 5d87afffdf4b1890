-- name: ancestors (prepared)
-- The places above a post, the nearest first, at most $2. Index: posts' primary key.
WITH RECURSIVE above (id, distance) AS (
    SELECT p.reply_to, 1 FROM feed.posts p WHERE p.id = $1 AND p.reply_to IS NOT NULL
    UNION ALL
    SELECT p.reply_to, a.distance + 1
    FROM above a JOIN feed.posts p ON p.id = a.id
    WHERE p.reply_to IS NOT NULL AND a.distance < $2
)
SELECT id FROM above ORDER BY distance;

-- name: branches (prepared)
-- The places below a post ($2), in $7 levels: on the first level $5 from $4 on, after $3, then $6 for each. A place is
-- a post that the viewer ($1) may read, or another that was answered. Index: posts_by_parent.
WITH RECURSIVE below (id, reply_to, level) AS (
    (
        SELECT c.id, c.reply_to, 1
        FROM feed.posts c LEFT JOIN feed.permitted_posts($1) p ON p.id = c.id
        WHERE c.reply_to = $2 AND ($3::uuid IS NULL OR c.id > $3)
          AND (p.id IS NOT NULL OR c.replies_count + c.restricted_replies_count > 0)
        ORDER BY c.id
        OFFSET $4 LIMIT $5
    )
    UNION ALL
    SELECT one.id, b.id, b.level + 1
    FROM below b
    CROSS JOIN LATERAL (
        SELECT c.id
        FROM feed.posts c LEFT JOIN feed.permitted_posts($1) p ON p.id = c.id
        WHERE c.reply_to = b.id AND (p.id IS NOT NULL OR c.replies_count + c.restricted_replies_count > 0)
        ORDER BY c.id
        LIMIT $6
    ) AS one
    WHERE b.level < $7
)
SELECT id, reply_to FROM below ORDER BY level, id;
