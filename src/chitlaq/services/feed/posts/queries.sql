-- name: insert_post
-- Insert a post with its tags, counters and delivery job, which the caller runs at once.
-- No row if the author has used the idempotency key before.
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
-- The post that the author wrote under this key. Index: posts' unique index.
SELECT id, text, visibility, reply_to FROM feed.posts WHERE author_id = $1 AND idempotency_key = $2;

-- name: post
-- One post, if the viewer may read it.
SELECT * FROM feed.readable_posts($1) WHERE id = $2;

-- name: update_post
-- Change the author's own post; null leaves a column unchanged.
UPDATE feed.posts
SET text = coalesce($3, text), visibility = coalesce($4, visibility), edited_at = now()
WHERE id = $1 AND author_id = $2 AND deleted_at IS NULL;

-- name: replace_tags
-- Replace the tags of an edited post.
WITH gone AS (DELETE FROM feed.post_tags WHERE post_id = $1 AND tag <> ALL ($2::text[]))
INSERT INTO feed.post_tags (tag, post_id)
SELECT tag, $1 FROM unnest($2::text[]) AS tag
ON CONFLICT DO NOTHING;

-- name: delete_post
-- Delete the author's own post; its row stays so that replies keep their place.
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
-- Replies to a post, oldest first. Index: posts_by_parent.
SELECT p.* FROM feed.readable_posts($1) p
WHERE p.reply_to = $2 AND ($3::uuid IS NULL OR p.id > $3)
ORDER BY p.id
OFFSET $4 LIMIT $5;

-- name: posts_of_member
-- A member's posts that the viewer may read, newest first. Index: posts_by_author.
SELECT p.* FROM feed.readable_posts($1) p
WHERE p.author_id = $2 AND ($3::uuid IS NULL OR p.id < $3)
ORDER BY p.id DESC
OFFSET $4 LIMIT $5;

-- name: like
-- Like a post, once.
WITH new AS (
    INSERT INTO feed.likes (post_id, member_id) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING post_id
)
UPDATE feed.posts SET likes_count = likes_count + 1 WHERE id = (SELECT post_id FROM new);

-- name: unlike
-- Unlike a post.
WITH gone AS (DELETE FROM feed.likes WHERE post_id = $1 AND member_id = $2 RETURNING post_id)
UPDATE feed.posts SET likes_count = greatest(likes_count - 1, 0) WHERE id = (SELECT post_id FROM gone);
