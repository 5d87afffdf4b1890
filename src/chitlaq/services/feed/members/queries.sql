-- name: profile (prepared)
-- A member ($2) as a viewer ($1) sees them: hidden from members whom they block, and from all when they leave.
-- Of a private member, those who are not signed in see the name, the picture and the counts. Whom the viewer blocks, or
-- is blocked by, is not counted. Index: follows' primary key.
SELECT m.id, m.username, m.display_name, coalesce(d.bio, '') AS bio, coalesce(d.pronouns, '') AS pronouns,
       coalesce(d.department, '') AS department, d.graduation_year, coalesce(d.fields, '[]') AS fields,
       u.name AS university, m.avatar_url, d.banner_url, m.is_private,
       m.followers_count - (SELECT count(*) FROM feed.follows f
                            WHERE f.followed_id = m.id AND f.is_counted
                              AND f.follower_id = ANY (strangers.ids))::integer AS followers,
       m.following_count - (SELECT count(*) FROM feed.follows f
                            WHERE f.follower_id = m.id AND f.is_counted
                              AND f.followed_id = ANY (strangers.ids))::integer AS following,
       feed.posts_seen($1, m.id) AS posts, m.created_at,
       relation.is_followed,
       EXISTS (SELECT FROM feed.follows f WHERE f.follower_id = m.id AND f.followed_id = $1) AS follows_you,
       EXISTS (SELECT FROM feed.follow_requests r WHERE r.requester_id = $1 AND r.requested_id = m.id) AS is_requested,
       EXISTS (SELECT FROM feed.blocks b WHERE b.blocker_id = $1 AND b.blocked_id = m.id) AS is_blocked,
       m.id IN (SELECT a FROM feed.muted_authors($1) a) AS is_muted,
       (NOT m.is_private OR relation.is_followed OR m.id IS NOT DISTINCT FROM $1)
           AND EXISTS (SELECT FROM feed.admitted(m.may_see_followers, m.id, $1)) AS shows_followers
FROM feed.members m
JOIN auth.university_names u ON u.id = m.university_id
CROSS JOIN LATERAL (
    SELECT EXISTS (SELECT FROM feed.follows f WHERE f.follower_id = $1 AND f.followed_id = m.id) AS is_followed
) relation
CROSS JOIN (
    SELECT ARRAY(SELECT b.blocked_id FROM feed.blocks b WHERE b.blocker_id = $1
                 UNION ALL
                 SELECT b.blocker_id FROM feed.blocks b WHERE b.blocked_id = $1) AS ids
    OFFSET 0
) strangers
LEFT JOIN feed.members d ON d.id = m.id AND ($1 IS NOT NULL OR NOT m.is_private)
WHERE m.username = $2 AND m.hidden_at IS NULL
  AND NOT EXISTS (SELECT FROM feed.blocks b WHERE b.blocker_id = m.id AND b.blocked_id = $1);

-- name: username_of
-- The username of a member id.
SELECT username FROM feed.members WHERE id = $1;

-- name: member_named
-- The member with a username; one who is leaving only if $2.
SELECT id FROM feed.members WHERE username = $1 AND (hidden_at IS NULL OR $2);

-- name: update_profile
-- Update a member's own profile, locked by the caller; null leaves a column unchanged, except for the year if $7. Going
-- public begins the job that accepts those who wait to follow, which the caller runs at once.
WITH updated AS (
    UPDATE feed.members
    SET display_name = coalesce($2, display_name), bio = coalesce($3, bio), pronouns = coalesce($4, pronouns),
        department = coalesce($5, department), graduation_year = CASE WHEN $7 THEN $6 ELSE graduation_year END,
        fields = coalesce($8, fields), is_private = coalesce($9, is_private)
    WHERE id = $1
    RETURNING is_private
)
INSERT INTO jobs.jobs (kind, state, attempts, due_at, payload, request_id)
SELECT 'accept_follow_requests', 'running', 1, jobs.lease(), jsonb_build_object('member_id', $1::uuid), $10
FROM updated
WHERE NOT is_private AND EXISTS (SELECT FROM feed.follow_requests WHERE requested_id = $1)
RETURNING id;

-- name: privacy
-- What a member lets others do. Who may message is chat's, where no row means the default.
SELECT coalesce(a.may_message, 'everyone') AS may_message, m.may_mention, m.may_find, m.may_see_followers,
       m.is_found_from_outside
FROM feed.members m LEFT JOIN websocket.message_audiences a ON a.account_id = m.id
WHERE m.id = $1;

-- name: set_privacy
-- Store what a member lets others do; null leaves a column unchanged.
UPDATE feed.members
SET may_mention = coalesce($2, may_mention), may_find = coalesce($3, may_find),
    may_see_followers = coalesce($4, may_see_followers),
    is_found_from_outside = coalesce($5, is_found_from_outside)
WHERE id = $1;

-- name: set_message_audience
-- Tell chat who may message a member.
SELECT websocket.set_message_audience($1, $2);
