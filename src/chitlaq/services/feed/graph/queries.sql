-- name: followers (prepared)
-- A member's ($2) followers as a viewer ($1) sees them, by id.
SELECT v.id, v.username, v.display_name, v.department, v.university, v.avatar_url
FROM feed.followers_of($1, $2, $3, $4, $5) v;

-- name: following (prepared)
-- Members whom a member ($2) follows, as a viewer ($1) sees them, by id.
SELECT v.id, v.username, v.display_name, v.department, v.university, v.avatar_url
FROM feed.followed_by($1, $2, $3, $4, $5) v;

-- name: follow_requests
-- Who asks to follow a member, the latest first. Index: follow_requests_by_requested.
SELECT r.id, v.username, v.display_name, v.department, v.university, v.avatar_url
FROM feed.follow_requests r
JOIN feed.visible_members($1) v ON v.id = r.requester_id
WHERE r.requested_id = $1 AND ($2::uuid IS NULL OR r.id < $2)
ORDER BY r.id DESC
OFFSET $3 LIMIT $4;

-- name: blocks
-- Whom a member blocks, by id; also those who block the member. Index: blocks' primary key.
SELECT c.id, c.username, c.display_name, c.department, c.university, c.avatar_url
FROM feed.blocks b
JOIN feed.member_cards c ON c.id = b.blocked_id
WHERE b.blocker_id = $1 AND ($2::uuid IS NULL OR b.blocked_id > $2)
ORDER BY b.blocked_id
OFFSET $3 LIMIT $4;

-- name: lock_members
-- Lock members' rows in a fixed order, so that concurrent actions on each other do not deadlock.
SELECT id FROM feed.members WHERE id = ANY ($1::uuid[]) ORDER BY id FOR NO KEY UPDATE;

-- name: follow
-- Follow a member, once, or ask a private one, unless one blocks the other; what there was and is between the two.
WITH other AS (
    SELECT m.is_private,
           EXISTS (SELECT FROM feed.follows f WHERE f.follower_id = $1 AND f.followed_id = $2) AS was_followed,
           EXISTS (SELECT FROM feed.blocks b WHERE b.blocker_id = $2 AND b.blocked_id = $1) AS is_blocking,
           EXISTS (SELECT FROM feed.blocks b WHERE b.blocker_id = $1 AND b.blocked_id = $2) AS is_blocked
    FROM feed.members m WHERE m.id = $2 AND m.hidden_at IS NULL
), asked AS (
    INSERT INTO feed.follow_requests (requester_id, requested_id)
    SELECT $1, $2 FROM other WHERE is_private AND NOT (was_followed OR is_blocking OR is_blocked)
    ON CONFLICT DO NOTHING
    RETURNING requester_id
), new AS (
    INSERT INTO feed.follows (follower_id, followed_id, is_counted)
    SELECT $1, $2, EXISTS (SELECT FROM feed.members WHERE id = $1 AND hidden_at IS NULL)
    FROM other WHERE NOT (is_private OR was_followed OR is_blocking OR is_blocked)
    RETURNING is_counted
), answered AS (
    DELETE FROM feed.follow_requests WHERE requester_id = $1 AND requested_id = $2 AND EXISTS (SELECT FROM new)
), counted AS (
    UPDATE feed.members m
    SET following_count = following_count + (m.id = $1)::integer,
        followers_count = followers_count + (m.id = $2)::integer
    WHERE m.id IN ($1, $2) AND (SELECT is_counted FROM new)
), told AS (
    INSERT INTO jobs.jobs (kind, payload, request_id)
    SELECT 'notify', jsonb_build_object('type', 'pair', 'one_id', $1::uuid, 'other_id', $2::uuid), $3
    WHERE EXISTS (SELECT FROM new) OR EXISTS (SELECT FROM asked)
)
SELECT is_blocking, is_blocked, EXISTS (SELECT FROM new) AS is_new, was_followed OR EXISTS (SELECT FROM new) AS is_followed
FROM other;

-- name: unfollow
-- End a follow; whether there was one.
WITH gone AS (
    DELETE FROM feed.follows WHERE follower_id = $1 AND followed_id = $2 RETURNING followed_id, is_counted
), told AS (
    INSERT INTO jobs.jobs (kind, payload, request_id)
    SELECT 'notify', jsonb_build_object('type', 'pair', 'one_id', $1::uuid, 'other_id', $2::uuid), $3 FROM gone
), counted AS (
    UPDATE feed.members m
    SET following_count = greatest(following_count - (m.id = $1)::integer, 0),
        followers_count = greatest(followers_count - (m.id = $2)::integer, 0)
    WHERE m.id IN ($1, $2) AND (SELECT is_counted FROM gone)
)
SELECT EXISTS (SELECT FROM gone);

-- name: forget_request
-- End the request of one member ($1) to follow another ($2).
WITH gone AS (
    DELETE FROM feed.follow_requests WHERE requester_id = $1 AND requested_id = $2 RETURNING requested_id
)
INSERT INTO jobs.jobs (kind, payload, request_id)
SELECT 'notify', jsonb_build_object('type', 'pair', 'one_id', $1::uuid, 'other_id', $2::uuid), $3 FROM gone;

-- name: oldest_requests
-- Some of those who ask to follow a member. Index: follow_requests_by_requested.
SELECT requester_id FROM feed.follow_requests WHERE requested_id = $1 ORDER BY id LIMIT $2;

-- name: accept_requests
-- Let these members ($2) follow the member ($1) whom they asked; unless $3, only if that is a public one. Who does now.
WITH answered AS (
    DELETE FROM feed.follow_requests
    WHERE requested_id = $1 AND requester_id = ANY ($2::uuid[])
      AND ($3::boolean OR NOT (SELECT is_private FROM feed.members WHERE id = $1))
    RETURNING requester_id
), new AS (
    INSERT INTO feed.follows (follower_id, followed_id, was_requested, is_counted)
    SELECT requester_id, $1, true,
           NOT EXISTS (SELECT FROM feed.members m WHERE m.id IN (requester_id, $1) AND m.hidden_at IS NOT NULL)
    FROM answered
    RETURNING follower_id, is_counted
), told AS (
    INSERT INTO jobs.jobs (kind, payload, request_id)
    SELECT 'notify', jsonb_build_object('type', 'pair', 'one_id', $1::uuid, 'other_id', follower_id), $4 FROM new
), counted AS (
    UPDATE feed.members m
    SET following_count = following_count + (m.id <> $1)::integer,
        followers_count = followers_count
                        + CASE WHEN m.id = $1 THEN (SELECT count(*) FROM new WHERE is_counted)::integer ELSE 0 END
    WHERE m.id IN (SELECT follower_id FROM new WHERE is_counted UNION ALL SELECT $1)
)
SELECT follower_id FROM new;

-- name: is_follower
-- Whether somebody ($2) follows a member ($1).
SELECT EXISTS (SELECT FROM feed.follows WHERE follower_id = $2 AND followed_id = $1);

-- name: block
-- Block a member, once, and tell other services; returns the job that does.
WITH added AS (
    INSERT INTO feed.blocks (blocker_id, blocked_id) VALUES ($1, $2) ON CONFLICT DO NOTHING
    RETURNING blocker_id, blocked_id
), told AS (
    INSERT INTO jobs.jobs (kind, payload, request_id)
    SELECT 'notify', jsonb_build_object('type', 'pair', 'one_id', $1::uuid, 'other_id', $2::uuid), $3 FROM added
)
INSERT INTO jobs.jobs (kind, state, attempts, due_at, payload, request_id)
SELECT 'announce_block', 'running', 1, jobs.lease(), to_jsonb(added), $3 FROM added
RETURNING id;

-- name: unblock
-- Unblock a member.
DELETE FROM feed.blocks WHERE blocker_id = $1 AND blocked_id = $2;

-- name: members_after
-- Some members, by id. Index: members' primary key.
SELECT id FROM feed.members WHERE $1::uuid IS NULL OR id > $1 ORDER BY id LIMIT $2;

-- name: repair_counters
-- Of these members, which the caller has locked, let the counters be what they count; those that were not.
WITH counted AS (
    SELECT m.id, c.followers, c.following
    FROM feed.members m CROSS JOIN LATERAL feed.follows_counted_for(m.id) c WHERE m.id = ANY ($1::uuid[])
)
UPDATE feed.members m SET followers_count = c.followers, following_count = c.following
FROM counted c
WHERE m.id = c.id AND (m.followers_count, m.following_count) <> (c.followers, c.following)
RETURNING m.id AS member_id, c.followers, c.following, old.followers_count AS followers_before,
          old.following_count AS following_before;

-- name: posts_after
-- Some posts, by id. Index: posts' primary key.
SELECT id FROM feed.posts WHERE $1::uuid IS NULL OR id > $1 ORDER BY id LIMIT $2;

-- name: wrong_posts
-- Those of these posts whose counters are not what they count.
SELECT p.id FROM feed.posts p CROSS JOIN LATERAL feed.counted_for(p.id) c
WHERE p.id = ANY ($1::uuid[])
  AND (p.likes_count, p.reposts_count, p.replies_count, p.restricted_replies_count) IS DISTINCT FROM c;

-- name: lock_posts
-- Let nobody change these posts, or what is counted for them.
SELECT id FROM feed.posts WHERE id = ANY ($1::uuid[]) ORDER BY id DESC FOR UPDATE;

-- name: repair_posts
-- Of these posts, which the caller has locked, let the counters be what they count; those that were not.
UPDATE feed.posts p
SET likes_count = c.likes, reposts_count = c.reposts, replies_count = c.replies,
    restricted_replies_count = c.restricted_replies
FROM feed.posts old CROSS JOIN LATERAL feed.counted_for(old.id) c
WHERE p.id = old.id AND old.id = ANY ($1::uuid[])
  AND (old.likes_count, old.reposts_count, old.replies_count, old.restricted_replies_count) IS DISTINCT FROM c
RETURNING p.id AS post_id, c.likes, c.reposts, c.replies, c.restricted_replies, old.likes_count AS likes_before,
          old.reposts_count AS reposts_before, old.replies_count AS replies_before,
          old.restricted_replies_count AS restricted_replies_before;

-- name: recount_hidden
-- Look again at what those who leave have liked, reposted and followed: a request of theirs may have ended after they left.
INSERT INTO jobs.jobs (kind, payload, request_id)
SELECT 'recount_member', jsonb_build_object('member_id', id), $1 FROM feed.members WHERE hidden_at IS NOT NULL;
