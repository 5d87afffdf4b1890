-- name: home_timeline (prepared)
-- The latest entries of a member's ($1) home feed, before the entry $2: posts of theirs and of those they follow, and
-- reposts of the latter. The source of the timeline in Valkey. Indexes: follows' primary key, then posts_by_author and
-- reposts_by_member for each author.
WITH authors AS MATERIALIZED (SELECT followed_id AS id FROM feed.follows WHERE follower_id = $1)
SELECT e.id, e.post_id
FROM (
    SELECT p.id, p.id AS post_id
    FROM (SELECT id FROM authors UNION ALL SELECT $1) AS author
    CROSS JOIN LATERAL (
        SELECT id FROM feed.posts
        WHERE author_id = author.id AND deleted_at IS NULL AND reply_to IS NULL
          AND (visibility NOT IN ('self', 'mentioned') OR author_id = $1)
          AND ($2::uuid IS NULL OR id < $2)
        ORDER BY id DESC
        LIMIT $3
    ) AS p
    UNION ALL
    SELECT s.id, s.post_id
    FROM authors
    CROSS JOIN LATERAL (
        SELECT id, post_id FROM feed.reposts
        WHERE member_id = authors.id AND ($2::uuid IS NULL OR id < $2)
        ORDER BY id DESC
        LIMIT $3
    ) AS s
) AS e
ORDER BY e.id DESC
LIMIT $3;

-- name: home_posts (prepared)
-- For each member of $1: of the entries at positions $2 to $3 of $5, the newest $4 that belong in the member's home
-- feed, that they may read and do not mute, with the member's position in $1. $5 are the entries' posts; $6 their
-- reposts, null for the posts themselves. Follows are checked again, so that a stale timeline shows nothing wrong. A
-- repost is folded into what was there of the post in the week before. The arrays are subqueries to hide their lengths
-- from the planner, which would otherwise replan for each number of members.
SELECT asked.number, home.*
FROM unnest((SELECT $1::uuid[]), (SELECT $2::integer[]), (SELECT $3::integer[]), (SELECT $4::integer[]))
     WITH ORDINALITY AS asked (member, first, last, wanted, number)
CROSS JOIN LATERAL (SELECT * FROM feed.mutes_of(asked.member) OFFSET 0) AS muted
CROSS JOIN LATERAL (
    SELECT p.id, p.version, p.author_id, p.author_version, p.quote_of, p.has_poll, p.likes, p.replies, p.reposts,
           p.liked, p.reposted, p.bookmarked, coalesce(e.repost_id, e.post_id) AS entry,
           r.member_id, r.version AS reposter_version
    FROM unnest(($5::uuid[])[asked.first : asked.last], ($6::uuid[])[asked.first : asked.last])
         AS e (post_id, repost_id)
    JOIN feed.readable_posts(asked.member) p ON p.id = e.post_id
    LEFT JOIN LATERAL (
        SELECT s.member_id, s.created_at, m.version
        FROM feed.reposts s
        JOIN feed.follows f ON f.follower_id = asked.member AND f.followed_id = s.member_id
        JOIN feed.members m ON m.id = s.member_id AND m.hidden_at IS NULL
        WHERE s.id = e.repost_id
    ) AS r ON e.repost_id IS NOT NULL
    CROSS JOIN LATERAL (
        SELECT (SELECT true FROM feed.follows f
                WHERE f.follower_id = asked.member
                  -- One value, for the index that begins with the follower (migration 0037).
                  AND f.followed_id BETWEEN p.author_id AND p.author_id) IS NOT NULL AS is_followed
    ) AS author
    WHERE CASE WHEN e.repost_id IS NULL
          -- One that was narrowed to whom it mentions may still be in a timeline.
          THEN p.author_id = asked.member OR author.is_followed AND p.visibility <> 'mentioned'
          ELSE r.member_id IS NOT NULL AND p.author_id <> asked.member
               AND NOT (p.reply_to IS NULL AND p.created_at > r.created_at - interval '7 days'
                        AND author.is_followed)
               AND r.member_id <> ALL (muted.authors)
               AND (SELECT true FROM feed.reposts o
                    JOIN feed.follows f ON f.follower_id = asked.member AND f.followed_id = o.member_id
                    JOIN feed.members m ON m.id = o.member_id AND m.hidden_at IS NULL
                    WHERE o.post_id = p.id AND o.id < e.repost_id AND o.member_id <> ALL (muted.authors)
                      AND o.created_at > r.created_at - interval '7 days'
                    LIMIT 1) IS NULL
          END
      AND p.author_id <> ALL (muted.authors)
      AND NOT (muted.is_more AND feed.is_muted(asked.member, p.author_id, p.id, coalesce(p.root_id, p.id)))
    ORDER BY entry DESC
    LIMIT asked.wanted
) AS home
ORDER BY asked.number, home.entry DESC;

-- name: public_posts (prepared)
-- The latest public posts, newest first. Index: posts_public.
SELECT p.id, p.version, p.author_id, p.author_version, p.quote_of, p.has_poll, p.likes, p.replies, p.reposts,
       p.liked, p.reposted, p.bookmarked
FROM feed.readable_posts($1) p
WHERE p.visibility = 'public' AND p.reply_to IS NULL AND ($2::uuid IS NULL OR p.id < $2)
  AND ($5::uuid IS NULL OR p.id > $5)
ORDER BY p.id DESC
OFFSET $3 LIMIT $4;

-- name: delivered_post (prepared)
-- A post that is delivered; no row if it was deleted meanwhile, or is a reply: those are read below their post.
SELECT p.id, p.version, p.author_id, a.version AS author_version, p.quote_of, p.has_poll, p.likes_count,
       p.replies_count, p.reposts_count, false, false, false, p.visibility, p.reply_to, p.created_at
FROM feed.posts p JOIN feed.members a ON a.id = p.author_id
WHERE p.id = $1 AND p.deleted_at IS NULL AND p.reply_to IS NULL;

-- name: follower_ids (prepared)
-- Followers of an author in batches, by id. Index: follows_by_followed.
SELECT follower_id FROM feed.follows
WHERE followed_id = $1 AND ($2::uuid IS NULL OR follower_id > $2)
ORDER BY follower_id
LIMIT $3;
