-- name: mute
-- Mute a member, or change until when. An account that has just gone mutes nobody.
INSERT INTO feed.mutes (member_id, muted_id, until)
SELECT $1, id, $3 FROM feed.members WHERE id = $2 AND EXISTS (SELECT FROM feed.members WHERE id = $1)
ON CONFLICT (member_id, muted_id) DO UPDATE SET until = excluded.until;

-- name: unmute
-- Unmute a member.
DELETE FROM feed.mutes WHERE member_id = $1 AND muted_id = $2;

-- name: mutes
-- Whom a member mutes now, by id; also those who block the member. Index: mutes' primary key.
SELECT c.id, c.username, c.display_name, c.department, c.university, c.avatar_url, m.until
FROM feed.mutes m
JOIN feed.member_cards c ON c.id = m.muted_id
WHERE m.member_id = $1 AND (m.until IS NULL OR m.until > now()) AND ($2::uuid IS NULL OR m.muted_id > $2)
ORDER BY m.muted_id
OFFSET $3 LIMIT $4;

-- name: muted_words
-- The words that a member mutes now. Index: muted_words' primary key.
SELECT word, until FROM feed.muted_words
WHERE member_id = $1 AND (until IS NULL OR until > now()) ORDER BY words;

-- name: forget_muted_words
-- Mute no words.
DELETE FROM feed.muted_words WHERE member_id = $1;

-- name: mute_words
-- Mute words: $2, each until $3.
INSERT INTO feed.muted_words (member_id, word, until)
SELECT m.id, w.word, w.until
FROM unnest($2::text[], $3::timestamptz[]) WITH ORDINALITY AS w (word, until, place)
JOIN feed.members m ON m.id = $1
ORDER BY w.place
ON CONFLICT DO NOTHING;

-- name: muted_tags
-- The hashtags that a member mutes now. Index: muted_tags' primary key.
SELECT tag, until FROM feed.muted_tags
WHERE member_id = $1 AND (until IS NULL OR until > now()) ORDER BY tag;

-- name: forget_muted_tags
-- Mute no hashtags.
DELETE FROM feed.muted_tags WHERE member_id = $1;

-- name: mute_tags
-- Mute hashtags: $2, each until $3.
INSERT INTO feed.muted_tags (member_id, tag, until)
SELECT m.id, t.tag, t.until
FROM unnest($2::text[], $3::timestamptz[]) WITH ORDINALITY AS t (tag, until, place)
JOIN feed.members m ON m.id = $1
ORDER BY t.place
ON CONFLICT DO NOTHING;

-- name: mute_thread
-- Mute the thread of a post that the member may read; no row if they may not.
INSERT INTO feed.muted_threads (member_id, post_id)
SELECT $1, coalesce(p.root_id, p.id) FROM feed.permitted_posts($1) p WHERE p.id = $2
ON CONFLICT (member_id, post_id) DO UPDATE SET post_id = excluded.post_id
RETURNING post_id;

-- name: is_thread_muted
-- Whether the member mutes the thread of a post that they may read; no row if they may not.
SELECT EXISTS (SELECT FROM feed.muted_threads t WHERE t.member_id = $1 AND t.post_id = coalesce(p.root_id, p.id))
FROM feed.permitted_posts($1) p WHERE p.id = $2;

-- name: unmute_thread
-- Unmute the thread of a post, readable or not.
DELETE FROM feed.muted_threads
WHERE member_id = $1 AND post_id = (SELECT coalesce(root_id, id) FROM feed.posts WHERE id = $2);

-- name: muted_threads
-- The posts that the threads which a member mutes begin with, the latest post first, of those that the member may read.
-- Index: muted_threads' primary key.
SELECT p.id, p.version, p.author_id, p.author_version, p.quote_of, p.has_poll, p.likes, p.replies, p.reposts,
       p.liked, p.reposted, p.bookmarked
FROM feed.muted_threads t
CROSS JOIN LATERAL feed.readable_posts($1) p
WHERE t.member_id = $1 AND p.id = t.post_id AND ($2::uuid IS NULL OR t.post_id < $2)
ORDER BY t.post_id DESC
OFFSET $3 LIMIT $4;

-- name: forget_mutes
-- Delete the mutes that are over.
WITH people AS (DELETE FROM feed.mutes WHERE until < now()), words AS (DELETE FROM feed.muted_words WHERE until < now())
DELETE FROM feed.muted_tags WHERE until < now();
