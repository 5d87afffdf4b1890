-- name: profile
-- A member by username; hidden from members whom they block, and from all when they leave.
SELECT m.id, m.username, m.display_name, m.bio, m.department, u.name AS university, m.avatar_url,
       m.is_private, m.followers_count AS followers, m.following_count AS following,
       feed.posts_seen($1, m.id) AS posts, m.created_at,
       EXISTS (SELECT FROM feed.follows f WHERE f.follower_id = $1 AND f.followed_id = m.id) AS is_followed
FROM feed.members m
JOIN auth.university_names u ON u.id = m.university_id
WHERE m.username = $2 AND m.hidden_at IS NULL
  AND NOT EXISTS (SELECT FROM feed.blocks b WHERE b.blocker_id = m.id AND b.blocked_id = $1);

-- name: username_of
-- The username of a member id.
SELECT username FROM feed.members WHERE id = $1;

-- name: update_profile
-- Update a member's own profile; null leaves a column unchanged.
UPDATE feed.members
SET display_name = coalesce($2, display_name), bio = coalesce($3, bio),
    department = coalesce($4, department), is_private = coalesce($5, is_private)
WHERE id = $1;

-- name: privacy
-- What a member chose about being found.
SELECT is_found_from_outside FROM feed.members WHERE id = $1;

-- name: set_privacy
-- Store what a member chose about being found.
UPDATE feed.members SET is_found_from_outside = $2 WHERE id = $1;
