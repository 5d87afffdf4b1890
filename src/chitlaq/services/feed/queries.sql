-- name: insert_post
-- Write a post with its tags, its counters and the job that delivers it, which the caller runs at once;
-- all or nothing.
-- No row when the author used the idempotency key before.
WITH new AS (
    INSERT INTO feed.posts (author_id, text, visibility, reply_to, idempotency_key)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (author_id, idempotency_key) DO NOTHING
    RETURNING id
), tagged AS (
    INSERT INTO feed.post_tags (tag, post_id)
    SELECT tag, new.id FROM new, unnest($6::text[]) AS tag
), delivery AS (
    INSERT INTO jobs.jobs (kind, state, attempts, due_at, payload, request_id)
    SELECT 'deliver_post', 'running', 1, jobs.lease(), jsonb_build_object('post_id', id), $7 FROM new
    RETURNING id
), author AS (
    UPDATE feed.members SET posts_count = posts_count + 1
    WHERE id = $1 AND EXISTS (SELECT FROM new)
), parent AS (
    UPDATE feed.posts SET replies_count = replies_count + 1
    WHERE id = $4 AND EXISTS (SELECT FROM new)
)
SELECT new.id, delivery.id AS job_id FROM new, delivery;

-- name: post_by_idempotency_key
-- The post that the author wrote under this key; posts' unique index.
SELECT id, text, visibility, reply_to FROM feed.posts WHERE author_id = $1 AND idempotency_key = $2;

-- name: post
-- One post, if the viewer may read it.
SELECT * FROM feed.readable_posts($1) WHERE id = $2;

-- name: update_post
-- Change the author's own post; null leaves a column as it is.
UPDATE feed.posts
SET text = coalesce($3, text), visibility = coalesce($4, visibility), edited_at = now()
WHERE id = $1 AND author_id = $2 AND deleted_at IS NULL;

-- name: replace_tags
-- The tags of a post whose text was changed.
WITH gone AS (DELETE FROM feed.post_tags WHERE post_id = $1 AND tag <> ALL ($2::text[]))
INSERT INTO feed.post_tags (tag, post_id)
SELECT tag, $1 FROM unnest($2::text[]) AS tag
ON CONFLICT DO NOTHING;

-- name: delete_post
-- Take the author's own post away; its row stays so that replies keep their place.
WITH gone AS (
    UPDATE feed.posts SET deleted_at = now()
    WHERE id = $1 AND author_id = $2 AND deleted_at IS NULL
    RETURNING author_id, reply_to
), parent AS (
    UPDATE feed.posts SET replies_count = greatest(replies_count - 1, 0)
    WHERE id = (SELECT reply_to FROM gone)
)
UPDATE feed.members SET posts_count = greatest(posts_count - 1, 0)
WHERE id = (SELECT author_id FROM gone);

-- name: replies
-- What was answered to a post, oldest first; posts_by_parent.
SELECT p.* FROM feed.readable_posts($1) p
WHERE p.reply_to = $2 AND ($3::uuid IS NULL OR p.id > $3)
ORDER BY p.id
OFFSET $4 LIMIT $5;

-- name: like
-- Like a post, once.
WITH new AS (
    INSERT INTO feed.likes (post_id, member_id) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING post_id
)
UPDATE feed.posts SET likes_count = likes_count + 1 WHERE id = (SELECT post_id FROM new);

-- name: unlike
-- Take a like back.
WITH gone AS (DELETE FROM feed.likes WHERE post_id = $1 AND member_id = $2 RETURNING post_id)
UPDATE feed.posts SET likes_count = greatest(likes_count - 1, 0) WHERE id = (SELECT post_id FROM gone);

-- name: home_timeline (prepared)
-- Ids of the latest posts of a member ($1) and of those they follow, newest first: the truth that a
-- timeline in Valkey is made from. follows' primary key, then posts_by_author for each author.
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
-- For each of several members ($1): of the posts whose ids stand from place $2 to place $3 in $5, the
-- newest $4 that belong in the member's home feed and may be read by them, with the question's number.
-- Who is followed is asked again, so that a timeline that is behind shows nothing wrong. The arrays
-- are subqueries so that the planner does not count them: it would plan anew for each number of members.
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
-- The latest public posts, newest first; posts_public.
SELECT p.* FROM feed.readable_posts($1) p
WHERE p.visibility = 'public' AND p.reply_to IS NULL AND ($2::uuid IS NULL OR p.id < $2)
ORDER BY p.id DESC
OFFSET $3 LIMIT $4;

-- name: tagged_posts
-- The latest public posts with a tag, newest first; post_tags' primary key.
SELECT p.* FROM feed.readable_posts($1) p
JOIN feed.post_tags t ON t.post_id = p.id
WHERE t.tag = $2 AND p.visibility = 'public' AND ($3::uuid IS NULL OR p.id < $3)
ORDER BY p.id DESC
OFFSET $4 LIMIT $5;

-- name: posts_of_member
-- A member's own posts as far as the viewer may read them, newest first; posts_by_author.
SELECT p.* FROM feed.readable_posts($1) p
WHERE p.author_id = $2 AND ($3::uuid IS NULL OR p.id < $3)
ORDER BY p.id DESC
OFFSET $4 LIMIT $5;

-- name: profile
-- A member by username; not for those who are blocked by them.
SELECT m.id, m.username, m.display_name, m.bio, m.department, u.name AS university, m.avatar_url,
       m.is_private, m.followers_count AS followers, m.following_count AS following,
       m.posts_count AS posts, m.created_at,
       EXISTS (SELECT FROM feed.follows f WHERE f.follower_id = $1 AND f.followed_id = m.id) AS is_followed
FROM feed.members m
JOIN auth.university_names u ON u.id = m.university_id
WHERE m.username = $2
  AND NOT EXISTS (SELECT FROM feed.blocks b WHERE b.blocker_id = m.id AND b.blocked_id = $1);

-- name: username_of
-- The name of a member whose id is known.
SELECT username FROM feed.members WHERE id = $1;

-- name: update_profile
-- Change one's own profile; null leaves a column as it is.
UPDATE feed.members
SET display_name = coalesce($2, display_name), bio = coalesce($3, bio),
    department = coalesce($4, department), is_private = coalesce($5, is_private)
WHERE id = $1;

-- name: followers
-- Who follows a member, by id; follows_by_followed.
SELECT c.id, c.username, c.display_name, c.department, c.university, c.avatar_url
FROM feed.follows f
JOIN feed.member_cards c ON c.id = f.follower_id
WHERE f.followed_id = $1 AND ($2::uuid IS NULL OR f.follower_id > $2)
ORDER BY f.follower_id
OFFSET $3 LIMIT $4;

-- name: following
-- Whom a member follows, by id; follows' primary key.
SELECT c.id, c.username, c.display_name, c.department, c.university, c.avatar_url
FROM feed.follows f
JOIN feed.member_cards c ON c.id = f.followed_id
WHERE f.follower_id = $1 AND ($2::uuid IS NULL OR f.followed_id > $2)
ORDER BY f.followed_id
OFFSET $3 LIMIT $4;

-- name: lock_members
-- Take both members' rows in one order, so that two who act on each other at once do not deadlock.
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
-- Follow no longer; both directions are asked for when somebody is blocked.
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
-- Block no longer.
DELETE FROM feed.blocks WHERE blocker_id = $1 AND blocked_id = $2;

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
