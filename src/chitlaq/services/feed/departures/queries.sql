-- name: export_profile
-- A member's profile.
SELECT m.username, m.display_name, m.bio, m.pronouns, m.department, m.graduation_year, m.fields, u.name AS university,
       m.avatar_url, m.banner_url, m.is_private, m.is_found_from_outside, m.may_mention, m.may_find, m.may_see_followers,
       m.followers_count AS followers, m.following_count AS following,
       m.posts_count AS posts, m.created_at
FROM feed.members m JOIN auth.university_names u ON u.id = m.university_id
WHERE m.id = $1;

-- name: export_posts
-- What a member wrote, oldest first; deleted posts too, as long as they are kept. Index: posts' unique keys.
SELECT p.id, p.text, p.visibility, p.reply_to, p.created_at, p.edited_at, p.deleted_at,
       ARRAY(SELECT t.tag FROM feed.post_tags t WHERE t.post_id = p.id ORDER BY t.tag) AS tags,
       p.quote_of, p.content_warning, p.quotable_by, p.likes_count AS likes, p.reposts_count AS reposts,
       p.replies_count + p.restricted_replies_count AS replies, q.options AS poll_options, q.votes AS poll_votes,
       q.expires_at AS poll_expires_at
FROM feed.posts p LEFT JOIN feed.polls q ON q.post_id = p.id
WHERE p.author_id = $1 ORDER BY p.id;

-- name: export_edits
-- What a member's posts said before they were edited. Index: posts_by_author.
SELECT e.post_id, e.text, e.content_warning, e.visibility, e.replaced_at
FROM feed.posts p JOIN feed.post_edits e ON e.post_id = p.id
WHERE p.author_id = $1 ORDER BY e.post_id, e.replaced_at;

-- name: export_reposts
-- Posts that a member shared; their texts are others'. Index: reposts_by_member.
SELECT post_id, created_at FROM feed.reposts WHERE member_id = $1 ORDER BY id;

-- name: export_bookmarks
-- Posts that a member keeps; their texts are others'. Index: bookmarks_by_time.
SELECT post_id, created_at FROM feed.bookmarks WHERE member_id = $1 ORDER BY id;

-- name: export_votes
-- How a member voted in polls; their texts are others'. Index: poll_votes_by_member.
SELECT post_id, choices, created_at FROM feed.poll_votes WHERE member_id = $1 ORDER BY created_at, post_id;

-- name: export_drafts
-- A member's drafts and scheduled posts. Index: drafts_by_member.
SELECT id, post->>'text' AS text, post->>'visibility' AS visibility, post->>'content_warning' AS content_warning,
       post->>'reply_to' AS reply_to, post->>'quote_of' AS quote_of, post->>'quotable_by' AS quotable_by,
       ARRAY(SELECT jsonb_array_elements_text(post #> '{poll,options}')) AS poll_options,
       scheduled_at, failure, created_at, updated_at
FROM feed.drafts WHERE member_id = $1 ORDER BY id;

-- name: export_mentions
-- Posts that mention a member; their texts are others'. Index: post_mentions_by_member.
SELECT post_id FROM feed.post_mentions WHERE member_id = $1 ORDER BY post_id;

-- name: export_pictures
-- What a member uploaded, oldest first, and the posts that show it. Index: media_by_owner.
SELECT m.id, m.purpose, m.state, m.reason, m.alt, m.width, m.height, m.bytes, m.created_at, o.post_id
FROM feed.media m LEFT JOIN feed.post_media o ON o.media_id = m.id
WHERE m.owner_id = $1 AND m.deleted_at IS NULL ORDER BY m.id;

-- name: pictures_to_export
-- The largest file of each picture of a member, oldest first. Index: media_by_owner.
SELECT m.id, m.alt, m.created_at, m.name
FROM feed.media m WHERE m.owner_id = $1 AND m.state = 'ready' AND m.deleted_at IS NULL ORDER BY m.id;

-- name: export_likes
-- Posts that a member likes; their texts are others'. Index: likes_by_member.
SELECT post_id, created_at FROM feed.likes WHERE member_id = $1 ORDER BY created_at, post_id;

-- name: export_following
-- Whom a member follows. Index: follows' primary key.
SELECT c.username, f.created_at FROM feed.follows f JOIN feed.member_cards c ON c.id = f.followed_id
WHERE f.follower_id = $1 ORDER BY f.created_at, c.username;

-- name: export_followers
-- Who follows a member. Index: follows_by_followed.
SELECT c.username, f.created_at FROM feed.follows f JOIN feed.member_cards c ON c.id = f.follower_id
WHERE f.followed_id = $1 ORDER BY f.created_at, c.username;

-- name: export_blocks
-- Whom a member blocks; who blocks them is those members' own matter. Index: blocks' primary key.
SELECT c.username, b.created_at FROM feed.blocks b JOIN feed.member_cards c ON c.id = b.blocked_id
WHERE b.blocker_id = $1 ORDER BY b.created_at, c.username;

-- name: export_requests
-- Whom a member asks to let them follow, and who asks the member. Indexes: primary key, follow_requests_by_requested.
SELECT c.username, uuid_extract_timestamp(r.id) AS requested_at, r.requester_id = $1 AS is_own
FROM feed.follow_requests r
JOIN feed.member_cards c ON c.id = CASE WHEN r.requester_id = $1 THEN r.requested_id ELSE r.requester_id END
WHERE $1 IN (r.requester_id, r.requested_id) ORDER BY r.id;

-- name: export_mutes
-- Whom and what a member mutes; who mutes them is those members' own matter. Index: primary keys.
SELECT 'member' AS kind, c.username AS muted, m.until
FROM feed.mutes m JOIN feed.member_cards c ON c.id = m.muted_id WHERE m.member_id = $1
UNION ALL SELECT 'word', word, until FROM feed.muted_words WHERE member_id = $1
UNION ALL SELECT 'tag', tag, until FROM feed.muted_tags WHERE member_id = $1
UNION ALL SELECT 'thread', post_id::text, NULL FROM feed.muted_threads WHERE member_id = $1
ORDER BY kind, muted;

-- name: export_reports
-- What a member reported. Who reported them is those members' own matter. Index: reports_by_reporter.
SELECT r.kind, c.username AS reported, r.post_id AS post, r.content_warning, r.text, r.reason, r.note, r.reported_at
FROM feed.reports r JOIN feed.member_cards c ON c.id = r.member_id WHERE r.reporter_id = $1
ORDER BY r.id;

-- name: lock_visibility
-- Whether others can see a member, who neither leaves nor stays before this transaction ends.
SELECT hidden_at IS NULL FROM feed.members WHERE id = $1 FOR SHARE;

-- name: likes_to_recount
-- Some of a member's likes that are counted and must not be, or the other way round ($2). Index: likes_by_member.
SELECT post_id FROM feed.likes
WHERE member_id = $1 AND is_counted <> $2 AND ($3::uuid IS NULL OR post_id > $3)
ORDER BY post_id LIMIT $4;

-- name: recount_likes
-- Let these likes of a member be counted, or not. Like who takes a like back, lock the posts first.
WITH post AS MATERIALIZED (SELECT id FROM feed.posts WHERE id = ANY ($3::uuid[]) ORDER BY id DESC FOR NO KEY UPDATE),
changed AS (
    UPDATE feed.likes l SET is_counted = $2 FROM post
    WHERE l.post_id = post.id AND l.member_id = $1 AND l.is_counted <> $2
    RETURNING l.post_id
)
UPDATE feed.posts p SET likes_count = p.likes_count + CASE WHEN $2 THEN 1 ELSE -1 END
FROM changed WHERE p.id = changed.post_id;

-- name: reposts_to_recount
-- The same of reposts. Index: reposts_by_member.
SELECT post_id FROM feed.reposts
WHERE member_id = $1 AND is_counted <> $2 AND ($3::uuid IS NULL OR post_id > $3)
ORDER BY post_id LIMIT $4;

-- name: recount_reposts
-- The same of reposts.
WITH post AS MATERIALIZED (SELECT id FROM feed.posts WHERE id = ANY ($3::uuid[]) ORDER BY id DESC FOR NO KEY UPDATE),
changed AS (
    UPDATE feed.reposts s SET is_counted = $2 FROM post
    WHERE s.post_id = post.id AND s.member_id = $1 AND s.is_counted <> $2
    RETURNING s.post_id
)
UPDATE feed.posts p SET reposts_count = p.reposts_count + CASE WHEN $2 THEN 1 ELSE -1 END
FROM changed WHERE p.id = changed.post_id;

-- name: following_to_recount
-- Some of those whom a member follows, of what is counted and must not be, or may be again. Index: follows' primary key.
SELECT followed_id AS other_id FROM feed.follows
WHERE follower_id = $1 AND is_counted = (SELECT hidden_at IS NOT NULL FROM feed.members WHERE id = $1)
  AND ($2::uuid IS NULL OR followed_id > $2)
ORDER BY followed_id LIMIT $3;

-- name: followers_to_recount
-- The same of those who follow a member. Index: follows_by_followed.
SELECT follower_id AS other_id FROM feed.follows
WHERE followed_id = $1 AND is_counted = (SELECT hidden_at IS NOT NULL FROM feed.members WHERE id = $1)
  AND ($2::uuid IS NULL OR follower_id > $2)
ORDER BY follower_id LIMIT $3;

-- name: recount_follows
-- Let what is between a member ($1) and these others ($2) be counted if all can see both. The caller has locked them all.
WITH changed AS (
    UPDATE feed.follows f SET is_counted = NOT f.is_counted
    FROM feed.members a, feed.members b
    WHERE (f.follower_id = $1 AND f.followed_id = ANY ($2::uuid[])
           OR f.followed_id = $1 AND f.follower_id = ANY ($2::uuid[]))
      AND a.id = f.follower_id AND b.id = f.followed_id
      AND f.is_counted <> (a.hidden_at IS NULL AND b.hidden_at IS NULL)
    RETURNING f.follower_id, f.followed_id, CASE WHEN f.is_counted THEN 1 ELSE -1 END AS change
)
UPDATE feed.members m
SET followers_count = greatest(m.followers_count + n.followers, 0),
    following_count = greatest(m.following_count + n.following, 0)
FROM (SELECT e.id, sum(e.followers)::integer AS followers, sum(e.following)::integer AS following
      FROM changed c CROSS JOIN LATERAL (VALUES (c.follower_id, 0, c.change), (c.followed_id, c.change, 0))
           AS e (id, followers, following)
      GROUP BY e.id) n
WHERE m.id = n.id;

-- name: erase_likes
-- Take some of a member's likes back, and off the posts' counters; how many. Index: likes_by_member.
WITH gone AS (
    DELETE FROM feed.likes
    WHERE member_id = $1 AND post_id IN (SELECT post_id FROM feed.likes WHERE member_id = $1 ORDER BY post_id LIMIT $2)
    RETURNING post_id, is_counted
), counted AS (
    UPDATE feed.posts SET likes_count = greatest(likes_count - 1, 0)
    WHERE id IN (SELECT post_id FROM gone WHERE is_counted)
)
SELECT count(*) FROM gone;

-- name: erase_votes
-- Take some of a member's votes back, and off the polls' results; how many. Index: poll_votes_by_member.
WITH gone AS (
    DELETE FROM feed.poll_votes
    WHERE member_id = $1
      AND post_id IN (SELECT post_id FROM feed.poll_votes WHERE member_id = $1 ORDER BY post_id LIMIT $2)
    RETURNING post_id, choices
), counted AS (
    UPDATE feed.polls q SET voters = q.voters - 1, votes = feed.added_votes(q.votes, gone.choices, -1)
    FROM gone WHERE q.post_id = gone.post_id
)
SELECT count(*) FROM gone;

-- name: erase_reposts
-- Take some of a member's reposts back, and off the posts' counters; how many. Index: reposts_by_member.
WITH gone AS (
    DELETE FROM feed.reposts
    WHERE member_id = $1 AND id IN (SELECT id FROM feed.reposts WHERE member_id = $1 ORDER BY id LIMIT $2)
    RETURNING post_id, is_counted
), counted AS (
    UPDATE feed.posts SET reposts_count = greatest(reposts_count - 1, 0)
    WHERE id IN (SELECT post_id FROM gone WHERE is_counted)
)
SELECT count(*) FROM gone;

-- name: erase_follows
-- Let a member follow and be followed no more, by some, and take that off the others' counters; how many.
-- Indexes: follows' primary key, follows_by_followed.
WITH gone AS (
    DELETE FROM feed.follows f
    USING (SELECT follower_id, followed_id FROM feed.follows WHERE $1 IN (follower_id, followed_id)
           ORDER BY follower_id, followed_id LIMIT $2) AS chosen
    WHERE (f.follower_id, f.followed_id) = (chosen.follower_id, chosen.followed_id)
    RETURNING f.follower_id, f.followed_id, f.is_counted
), counted AS (
    UPDATE feed.members m
    SET followers_count = greatest(m.followers_count - o.was_followed, 0),
        following_count = greatest(m.following_count - o.has_followed, 0)
    FROM (SELECT CASE WHEN follower_id = $1 THEN followed_id ELSE follower_id END AS id,
                 count(*) FILTER (WHERE follower_id = $1)::integer AS was_followed,
                 count(*) FILTER (WHERE followed_id = $1)::integer AS has_followed
          FROM gone WHERE is_counted GROUP BY 1) o
    WHERE m.id = o.id
)
SELECT count(*) FROM gone;

-- name: erase_posts
-- Leave of some of a member's posts nothing but their places, and take replies off their parents' counters; how many.
WITH chosen AS MATERIALIZED (
    SELECT id, reply_to, is_restricted, deleted_at IS NULL AS counts
    FROM feed.posts WHERE author_id = $1 ORDER BY id DESC LIMIT $2
    FOR UPDATE
), answers AS (
    SELECT reply_to, count(*) FILTER (WHERE NOT is_restricted)::integer AS open,
           count(*) FILTER (WHERE is_restricted)::integer AS restricted
    FROM chosen WHERE counts AND reply_to IS NOT NULL GROUP BY 1
), parents AS (
    UPDATE feed.posts p
    SET replies_count = greatest(p.replies_count - s.open, 0),
        restricted_replies_count = greatest(p.restricted_replies_count - s.restricted, 0)
    FROM answers s
    WHERE p.id = s.reply_to AND p.id NOT IN (SELECT id FROM chosen)
), tags AS (DELETE FROM feed.post_tags WHERE post_id IN (SELECT id FROM chosen)),
mentions AS (DELETE FROM feed.post_mentions WHERE post_id IN (SELECT id FROM chosen)),
edits AS (DELETE FROM feed.post_edits WHERE post_id IN (SELECT id FROM chosen)),
polls AS (DELETE FROM feed.polls WHERE post_id IN (SELECT id FROM chosen)),
likes AS (DELETE FROM feed.likes WHERE post_id IN (SELECT id FROM chosen)),
reposts AS (DELETE FROM feed.reposts WHERE post_id IN (SELECT id FROM chosen)),
bookmarks AS (DELETE FROM feed.bookmarks WHERE post_id IN (SELECT id FROM chosen)),
left_over AS (
    UPDATE feed.posts p
    SET author_id = NULL, text = '', content_warning = NULL, quote_of = NULL, quotable_by = 'everyone',
        has_poll = false, has_media = false, idempotency_key = NULL, request_hash = NULL, university_id = NULL,
        edited_at = NULL, visibility = 'public', is_restricted = false, likes_count = 0, reposts_count = 0,
        deleted_at = coalesce(p.deleted_at, now()),
        replies_count = greatest(p.replies_count - coalesce(s.open, 0), 0),
        restricted_replies_count = greatest(p.restricted_replies_count - coalesce(s.restricted, 0), 0)
    FROM chosen c LEFT JOIN answers s ON s.reply_to = c.id
    WHERE p.id = c.id
)
SELECT count(*) FROM chosen;

-- name: forget_erased_posts
-- Delete the places that nobody has answered; what they answered may then be one. Index: posts_erased.
DELETE FROM feed.posts p
WHERE p.author_id IS NULL AND NOT EXISTS (SELECT FROM feed.posts c WHERE c.reply_to = p.id);
