-- name: followers
-- A member's followers, by id; for $5, those who are found from outside. Index: follows_by_followed.
SELECT c.id, c.username, c.display_name, c.department, c.university, c.avatar_url
FROM feed.follows f
JOIN feed.member_cards c ON c.id = f.follower_id
WHERE f.followed_id = $1 AND ($2::uuid IS NULL OR f.follower_id > $2)
  AND (NOT $5::boolean OR EXISTS (SELECT FROM feed.listed_members l WHERE l.id = c.id AND l.is_found_from_outside))
ORDER BY f.follower_id
OFFSET $3 LIMIT $4;

-- name: following
-- Members whom a member follows, by id; for $5, those who are found from outside. Index: follows' primary key.
SELECT c.id, c.username, c.display_name, c.department, c.university, c.avatar_url
FROM feed.follows f
JOIN feed.member_cards c ON c.id = f.followed_id
WHERE f.follower_id = $1 AND ($2::uuid IS NULL OR f.followed_id > $2)
  AND (NOT $5::boolean OR EXISTS (SELECT FROM feed.listed_members l WHERE l.id = c.id AND l.is_found_from_outside))
ORDER BY f.followed_id
OFFSET $3 LIMIT $4;

-- name: lock_members
-- Lock both members' rows in a fixed order, so that concurrent actions on each other do not deadlock.
SELECT id FROM feed.members WHERE id = ANY ($1::uuid[]) ORDER BY id FOR NO KEY UPDATE;

-- name: follow
-- Follow a member, once, unless one blocks the other.
WITH new AS (
    INSERT INTO feed.follows (follower_id, followed_id)
    SELECT $1, $2
    WHERE NOT EXISTS (SELECT FROM feed.blocks b
                      WHERE (b.blocker_id = $2 AND b.blocked_id = $1) OR (b.blocker_id = $1 AND b.blocked_id = $2))
    ON CONFLICT DO NOTHING
    RETURNING follower_id
)
UPDATE feed.members m
SET following_count = following_count + (m.id = $1)::integer,
    followers_count = followers_count + (m.id = $2)::integer
WHERE m.id IN ($1, $2) AND EXISTS (SELECT FROM new);

-- name: unfollow
-- Unfollow; in both directions when a member is blocked.
WITH gone AS (
    DELETE FROM feed.follows
    WHERE (follower_id = $1 AND followed_id = $2)
       OR ($3::boolean AND follower_id = $2 AND followed_id = $1)
    RETURNING follower_id, followed_id
)
UPDATE feed.members m
SET following_count = greatest(following_count - (SELECT count(*)::integer FROM gone WHERE follower_id = m.id), 0),
    followers_count = greatest(followers_count - (SELECT count(*)::integer FROM gone WHERE followed_id = m.id), 0)
WHERE m.id IN ($1, $2) AND EXISTS (SELECT FROM gone);

-- name: block
-- Block a member, once.
INSERT INTO feed.blocks (blocker_id, blocked_id) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: unblock
-- Unblock a member.
DELETE FROM feed.blocks WHERE blocker_id = $1 AND blocked_id = $2;
