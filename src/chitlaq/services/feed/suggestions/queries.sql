-- name: suggestions
-- Whom a member may want to follow: those whom people follow that the member follows, if these show that; members of
-- the same groups; members of the same department, the latest first. All are bounded, so that it costs nobody much.
-- Indexes: follows' primary key, participants_by_account, participants' primary key, members_by_department.
WITH friends AS MATERIALIZED (
    SELECT f.followed_id AS id FROM feed.follows f JOIN feed.members m ON m.id = f.followed_id
    WHERE f.follower_id = $1 AND EXISTS (SELECT FROM feed.admitted(m.may_see_followers, m.id, $1))
    ORDER BY f.created_at DESC LIMIT 200
), groups AS MATERIALIZED (
    SELECT conversation_id FROM websocket.group_members WHERE account_id = $1 LIMIT 50
), found AS (
    SELECT second.followed_id AS id, 1 AS followed, 0 AS groups
    FROM friends
    CROSS JOIN LATERAL (SELECT followed_id FROM feed.follows WHERE follower_id = friends.id LIMIT 200) second
    UNION ALL
    SELECT others.account_id, 0, 1
    FROM groups
    CROSS JOIN LATERAL (SELECT g.account_id FROM websocket.group_members g
                        WHERE g.conversation_id = groups.conversation_id LIMIT 200) others
    UNION ALL
    SELECT * FROM (
        SELECT other.id, 0, 0
        FROM feed.members own
        JOIN feed.members other ON other.university_id = own.university_id AND other.department = own.department
        WHERE own.id = $1 AND own.department <> ''
        ORDER BY other.id DESC LIMIT 200
    ) department
), ranked AS MATERIALIZED (
    SELECT id, sum(followed) AS followed, sum(groups) AS groups, count(*) AS score
    FROM found
    WHERE id <> $1
      AND NOT EXISTS (SELECT FROM feed.follows f WHERE f.follower_id = $1 AND f.followed_id = found.id)
      AND NOT EXISTS (SELECT FROM feed.follow_requests r WHERE r.requester_id = $1 AND r.requested_id = found.id)
    GROUP BY id
    ORDER BY score DESC, id LIMIT 1000
)
SELECT v.id, v.username, v.display_name, v.department, v.university, v.avatar_url,
       r.followed::integer AS followed, r.groups::integer AS groups
FROM ranked r
JOIN feed.visible_members($1) v ON v.id = r.id
JOIN feed.members m ON m.id = r.id
WHERE r.id NOT IN (SELECT a FROM feed.muted_authors($1) a)
  AND EXISTS (SELECT FROM feed.admitted(m.may_find, m.id, $1))
ORDER BY r.score DESC, r.id
OFFSET $2 LIMIT $3;
