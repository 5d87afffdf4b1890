-- name: delivered_post
-- A post as its author sees it, for delivery; nothing when it was deleted meanwhile.
SELECT r.* FROM feed.posts p
CROSS JOIN LATERAL feed.readable_posts(p.author_id) r
WHERE p.id = $1 AND r.id = $1;

-- name: follower_ids
-- Followers of an author in batches, by id; follows_by_followed.
SELECT follower_id FROM feed.follows
WHERE followed_id = $1 AND ($2::uuid IS NULL OR follower_id > $2)
ORDER BY follower_id
LIMIT $3;
