-- name: home_timeline (prepared)
-- Ids of the latest posts of a member ($1) and of those they follow, newest first: the source of
-- the timeline in Valkey. Indexes: follows' primary key, then posts_by_author for each author.
SELECT p.id
FROM (SELECT followed_id AS id FROM feed.follows WHERE follower_id = $1 UNION ALL SELECT $1) AS author
CROSS JOIN LATERAL (
    SELECT id FROM feed.posts
    WHERE author_id = author.id AND deleted_at IS NULL AND reply_to IS NULL
      AND (visibility <> 'self' OR author_id = $1)
      AND ($2::uuid IS NULL OR id < $2)
    ORDER BY id DESC
    LIMIT $3
) AS p
ORDER BY p.id DESC
LIMIT $3;

-- name: home_posts (prepared)
-- For each member of $1: of the posts at positions $2 to $3 in the ids $5, the newest $4 that belong in
-- the member's home feed and that they may read, with the member's position in $1. Follows are checked
-- again, so that a stale timeline shows nothing wrong. The arrays are subqueries to hide their lengths
-- from the planner, which would otherwise replan for each number of members.
SELECT asked.number, home.*
FROM unnest((SELECT $1::uuid[]), (SELECT $2::integer[]), (SELECT $3::integer[]), (SELECT $4::integer[]))
     WITH ORDINALITY AS asked (member, first, last, wanted, number)
CROSS JOIN LATERAL (
    SELECT p.* FROM feed.readable_posts(asked.member) p
    WHERE p.id = ANY (($5::uuid[])[asked.first : asked.last])
      AND (p.author_id = asked.member
           OR EXISTS (SELECT FROM feed.follows f
                      WHERE f.follower_id = asked.member AND f.followed_id = p.author_id))
    ORDER BY p.id DESC
    LIMIT asked.wanted
) AS home
ORDER BY asked.number, home.id DESC;

-- name: public_posts (prepared)
-- The latest public posts, newest first. Index: posts_public.
SELECT p.* FROM feed.readable_posts($1) p
WHERE p.visibility = 'public' AND p.reply_to IS NULL AND ($2::uuid IS NULL OR p.id < $2)
ORDER BY p.id DESC
OFFSET $3 LIMIT $4;

-- name: tagged_posts
-- The latest public posts with a tag, newest first. Index: post_tags' primary key.
SELECT p.* FROM feed.readable_posts($1) p
JOIN feed.post_tags t ON t.post_id = p.id
WHERE t.tag = $2 AND p.visibility = 'public' AND ($3::uuid IS NULL OR p.id < $3)
ORDER BY p.id DESC
OFFSET $4 LIMIT $5;

-- name: delivered_post
-- A post as its author sees it, for delivery; no row if it was deleted meanwhile.
SELECT r.* FROM feed.posts p
CROSS JOIN LATERAL feed.readable_posts(p.author_id) r
WHERE p.id = $1 AND r.id = $1;

-- name: follower_ids
-- Followers of an author in batches, by id. Index: follows_by_followed.
SELECT follower_id FROM feed.follows
WHERE followed_id = $1 AND ($2::uuid IS NULL OR follower_id > $2)
ORDER BY follower_id
LIMIT $3;
