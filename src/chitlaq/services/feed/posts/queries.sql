-- name: answerable (prepared)
-- The post that began the thread of a post that the member may read, and so answer.
SELECT coalesce(p.root_id, p.id) FROM feed.permitted_posts($1) p WHERE p.id = $2;

-- name: quotable (prepared)
-- Whether a member may quote a post; no row if they may not read it.
SELECT EXISTS (SELECT FROM feed.quotable_posts($1) q WHERE q.id = p.id) FROM feed.permitted_posts($1) p WHERE p.id = $2;

-- name: mentionable
-- Those of these usernames' members whom the member may mention.
SELECT m.id, m.username FROM feed.mentionable_members($1) m WHERE m.username = ANY ($2::text[]) ORDER BY m.username;

-- name: attachable
-- How many of these pictures the member may put into a new post.
SELECT count(*) FROM feed.attachable_media($1) m WHERE m.id = ANY ($2::uuid[]);

-- name: insert_post (prepared)
-- Insert a post with its tags, mentions, pictures, poll, counters and delivery job, which the caller runs at once;
-- replies are read below their post, and delivered to nobody. No row if the author has used the idempotency key before,
-- or has no account any more. The lock keeps the author from going private meanwhile, which counts replies otherwise.
-- What is asked of other posts and members was asked before: with it, PostgreSQL would plan the statement anew for each
-- post, for three times its cost.
WITH author AS (
    SELECT m.id, m.version, m.is_private OR m.hidden_at IS NOT NULL AS is_hidden, m.university_id IS NULL AS is_synthetic
    FROM feed.members m WHERE m.id = $1
    FOR NO KEY UPDATE
), new AS (
    INSERT INTO feed.posts (author_id, text, visibility, reply_to, root_id, quote_of, content_warning, quotable_by,
                            is_restricted, idempotency_key, request_hash, has_poll, has_media)
    SELECT a.id, $2, $3, $4, $5, $6, $7, $8, $3 <> 'public' OR a.is_hidden, $9, $10,
           cardinality($15::text[]) > 0, cardinality($14::uuid[]) > 0
    FROM author a
    ON CONFLICT (author_id, idempotency_key) DO NOTHING
    RETURNING id, created_at, is_restricted
), tagged AS (
    INSERT INTO feed.post_tags (tag, spelling, post_id)
    SELECT t.tag, t.spelling, new.id FROM new, unnest($11::text[], $12::text[]) AS t (tag, spelling)
), mentioned AS (
    INSERT INTO feed.post_mentions (post_id, member_id) SELECT new.id, m FROM new, unnest($13::uuid[]) AS m
), attached AS (
    INSERT INTO feed.post_media (post_id, position, media_id)
    SELECT new.id, u.position - 1, u.id FROM new, unnest($14::uuid[]) WITH ORDINALITY AS u (id, position)
), polled AS (
    INSERT INTO feed.polls (post_id, options, votes, expires_at, is_multiple)
    SELECT new.id, $15, array_fill(0, ARRAY[cardinality($15::text[])]), now() + make_interval(secs => $16), $17
    FROM new WHERE cardinality($15::text[]) > 0
), told AS (
    INSERT INTO jobs.jobs (kind, payload, request_id)
    SELECT 'notify', jsonb_build_object('type', 'post', 'post_id', id), $18 FROM new
    WHERE $3 <> 'self' AND ($4::uuid IS NOT NULL OR $6::uuid IS NOT NULL OR cardinality($13::uuid[]) > 0)
), to_be_told AS (
    INSERT INTO jobs.jobs (kind, payload, request_id, created_at, due_at)
    SELECT 'notify', jsonb_build_object('type', 'poll', 'post_id', id), $18, p.ends_at, p.ends_at
    FROM new, (SELECT now() + make_interval(secs => $16) AS ends_at) p WHERE cardinality($15::text[]) > 0
), delivery AS (
    INSERT INTO jobs.jobs (kind, state, attempts, due_at, payload, request_id)
    SELECT 'deliver_post', 'running', 1, jobs.lease(), jsonb_build_object('post_id', id), $18 FROM new
    WHERE $4::uuid IS NULL
    RETURNING id
), counted AS (
    UPDATE feed.members SET posts_count = posts_count + 1
    WHERE id = $1 AND $3 = 'public' AND EXISTS (SELECT FROM new)
), answered AS (
    UPDATE feed.posts p
    SET replies_count = p.replies_count + (NOT new.is_restricted)::integer,
        restricted_replies_count = p.restricted_replies_count + new.is_restricted::integer
    FROM new WHERE p.id = $4
)
SELECT new.id, new.created_at, a.version AS author_version, a.is_synthetic, (SELECT id FROM delivery) AS job_id
FROM new, author a;

-- name: forget_probes
-- Delete the posts of synthetic members, which have probed what they are for. Index: members_by_department, posts_by_author.
DELETE FROM feed.posts p USING feed.members m
WHERE m.university_id IS NULL AND p.author_id = m.id AND p.created_at < now() - interval '1 hour';

-- name: post_by_idempotency_key
-- What the author wrote under this key. Index: posts' unique index.
SELECT id, request_hash, deleted_at FROM feed.posts WHERE author_id = $1 AND idempotency_key = $2;

-- name: own_post
-- The author's own post, locked to be changed.
SELECT p.text, p.visibility, p.content_warning, p.quotable_by, p.reply_to, p.has_media
FROM feed.posts p WHERE p.id = $1 AND p.author_id = $2 AND p.deleted_at IS NULL FOR UPDATE;

-- name: keep_edit
-- Keep what a post says now, before it is edited.
INSERT INTO feed.post_edits (post_id, replaced_at, text, content_warning, visibility)
SELECT id, clock_timestamp(), text, content_warning, visibility FROM feed.posts WHERE id = $1;

-- name: edits
-- What a post said before, the latest first; for others than its author ($2), what was public or for the same people as
-- it is now. Neither those of a university, nor followers, nor those who are mentioned are all among the others, and
-- those who are mentioned may have been others. Index: post_edits' primary key.
SELECT e.text, e.content_warning, e.replaced_at
FROM feed.post_edits e JOIN feed.posts p ON p.id = e.post_id
WHERE e.post_id = $1
  AND (p.author_id = $2 OR e.visibility = 'public'
       OR e.visibility = p.visibility AND p.visibility IN ('university', 'followers'))
ORDER BY e.replaced_at DESC
LIMIT $3;

-- name: update_post
-- Change a post, with the counters of its author and its parent; `edited_at` if what it says was changed ($6).
WITH changed AS (
    UPDATE feed.posts p
    SET text = $2, visibility = $3, content_warning = $4, quotable_by = $5, version = p.version + 1,
        edited_at = CASE WHEN $6 THEN now() ELSE p.edited_at END,
        is_restricted = $3 <> 'public' OR a.is_private OR a.hidden_at IS NOT NULL
    FROM feed.posts old JOIN feed.members a ON a.id = old.author_id
    WHERE p.id = $1 AND old.id = $1
    RETURNING p.author_id, p.reply_to, p.is_restricted::integer - old.is_restricted::integer AS restricted,
              (p.visibility = 'public')::integer - (old.visibility = 'public')::integer AS published
), told AS (
    INSERT INTO jobs.jobs (kind, payload, request_id)
    SELECT 'notify', jsonb_build_object('type', 'post', 'post_id', $1::uuid), $7 FROM changed
), answered AS (
    UPDATE feed.posts p
    SET replies_count = p.replies_count - c.restricted,
        restricted_replies_count = p.restricted_replies_count + c.restricted
    FROM changed c WHERE p.id = c.reply_to AND c.restricted <> 0
)
UPDATE feed.members m SET posts_count = m.posts_count + c.published
FROM changed c WHERE m.id = c.author_id AND c.published <> 0;

-- name: replace_tags
-- Replace the tags and mentions of an edited post.
WITH gone AS (DELETE FROM feed.post_tags WHERE post_id = $1 AND tag <> ALL ($2::text[])),
unmentioned AS (
    DELETE FROM feed.post_mentions n USING feed.members m
    WHERE n.post_id = $1 AND m.id = n.member_id AND m.username <> ALL ($4::text[])
), mentioned AS (
    INSERT INTO feed.post_mentions (post_id, member_id)
    SELECT $1, m.id FROM feed.mentionable_members($3) m WHERE m.username = ANY ($4::text[])
    ON CONFLICT DO NOTHING
)
INSERT INTO feed.post_tags (tag, spelling, post_id)
SELECT t.tag, t.spelling, $1 FROM unnest($2::text[], $5::text[]) AS t (tag, spelling)
ON CONFLICT (tag, post_id) DO UPDATE SET spelling = excluded.spelling;

-- name: delete_post
-- Delete a post that is locked, and all that was said in it; its row stays, so that replies keep their place.
WITH old AS MATERIALIZED (
    SELECT id, author_id, reply_to, visibility, is_restricted FROM feed.posts WHERE id = $1
), gone AS (
    UPDATE feed.posts p
    SET deleted_at = now(), text = '', content_warning = NULL, quote_of = NULL, edited_at = NULL, has_poll = false,
        likes_count = 0, reposts_count = 0, version = p.version + 1
    FROM old WHERE p.id = old.id
), tags AS (DELETE FROM feed.post_tags USING old WHERE post_id = old.id),
mentions AS (DELETE FROM feed.post_mentions USING old WHERE post_id = old.id),
edits AS (DELETE FROM feed.post_edits USING old WHERE post_id = old.id),
polls AS (DELETE FROM feed.polls USING old WHERE post_id = old.id),
likes AS (DELETE FROM feed.likes USING old WHERE post_id = old.id),
reposts AS (DELETE FROM feed.reposts USING old WHERE post_id = old.id),
bookmarks AS (DELETE FROM feed.bookmarks USING old WHERE post_id = old.id),
told AS (
    INSERT INTO jobs.jobs (kind, payload, request_id)
    SELECT 'notify', jsonb_build_object('type', 'post', 'post_id', old.id), $2 FROM old
),
answered AS (
    UPDATE feed.posts p
    SET replies_count = greatest(p.replies_count - (NOT old.is_restricted)::integer, 0),
        restricted_replies_count = greatest(p.restricted_replies_count - old.is_restricted::integer, 0)
    FROM old WHERE p.id = old.reply_to
)
UPDATE feed.members m SET posts_count = greatest(m.posts_count - 1, 0)
FROM old WHERE m.id = old.author_id AND old.visibility = 'public';

-- name: replies
-- Replies to a post, oldest first. Index: posts_by_parent.
SELECT p.id, p.version, p.author_id, p.author_version, p.quote_of, p.has_poll, p.likes, p.replies, p.reposts,
       p.liked, p.reposted, p.bookmarked
FROM feed.readable_posts($1) p
WHERE p.reply_to = $2 AND ($3::uuid IS NULL OR p.id > $3)
ORDER BY p.id
OFFSET $4 LIMIT $5;

-- name: posts_of_member (prepared)
-- A member's posts that the viewer may read, newest first; without replies if $6, and only those with pictures if $7.
SELECT p.id, p.version, p.author_id, p.author_version, p.quote_of, p.has_poll, p.likes, p.replies, p.reposts,
       p.liked, p.reposted, p.bookmarked
FROM feed.posts_of_member($1, $2, $3, $4, $5, $6, $7) p;

-- name: like (prepared)
-- Like a post that the member may read, once; whether there is one. Who deletes it at that moment waits, and then deletes
-- the like, or it is gone.
WITH post AS MATERIALIZED (
    SELECT q.id, q.author_id FROM feed.permitted_posts($2) p JOIN feed.posts q ON q.id = p.id
    WHERE p.id = $1 AND q.deleted_at IS NULL
    FOR KEY SHARE OF q
), new AS (
    INSERT INTO feed.likes (post_id, member_id) SELECT post.id, $2 FROM post ON CONFLICT DO NOTHING RETURNING post_id
), counted AS (
    UPDATE feed.posts SET likes_count = likes_count + 1 WHERE id = (SELECT post_id FROM new)
), told AS (
    INSERT INTO jobs.jobs (kind, payload, request_id)
    SELECT 'notify', jsonb_build_object('type', 'reaction', 'kind', 'like', 'post_id', new.post_id,
                                        'author_id', post.author_id, 'member_id', $2::uuid), $3
    FROM new, post WHERE post.author_id <> $2
)
SELECT EXISTS (SELECT FROM post);

-- name: unlike (prepared)
-- Take a like back, also of a post that the member may not read any more. Like who deletes it, lock the post first.
WITH post AS MATERIALIZED (SELECT id, author_id FROM feed.posts WHERE id = $1 FOR NO KEY UPDATE),
gone AS (
    DELETE FROM feed.likes USING post WHERE post_id = post.id AND member_id = $2 RETURNING post_id, is_counted
),
told AS (
    INSERT INTO jobs.jobs (kind, payload, request_id)
    SELECT 'notify', jsonb_build_object('type', 'reaction', 'kind', 'like', 'post_id', gone.post_id,
                                        'author_id', post.author_id, 'member_id', $2::uuid), $3
    FROM gone, post WHERE post.author_id <> $2
)
UPDATE feed.posts SET likes_count = greatest(likes_count - 1, 0)
WHERE id = (SELECT post_id FROM gone WHERE is_counted);

-- name: repost (prepared)
-- Repost a public or university post that the member may read, once, with the job that delivers it. Whether there is
-- such a post, whether it may be reposted, and the job, if it is new.
WITH post AS MATERIALIZED (
    SELECT q.id, q.author_id, p.visibility IN ('public', 'university') AS may
    FROM feed.permitted_posts($2) p JOIN feed.posts q ON q.id = p.id
    WHERE p.id = $1 AND q.deleted_at IS NULL
    FOR KEY SHARE OF q
), new AS (
    INSERT INTO feed.reposts (post_id, member_id) SELECT post.id, $2 FROM post WHERE post.may
    ON CONFLICT DO NOTHING
    RETURNING id, post_id
), counted AS (
    UPDATE feed.posts SET reposts_count = reposts_count + 1 WHERE id = (SELECT post_id FROM new)
), told AS (
    INSERT INTO jobs.jobs (kind, payload, request_id)
    SELECT 'notify', jsonb_build_object('type', 'reaction', 'kind', 'repost', 'post_id', new.post_id,
                                        'author_id', post.author_id, 'member_id', $2::uuid), $3
    FROM new, post WHERE post.author_id <> $2
), delivery AS (
    INSERT INTO jobs.jobs (kind, state, attempts, due_at, payload, request_id)
    SELECT 'deliver_repost', 'running', 1, jobs.lease(),
           jsonb_build_object('repost_id', new.id, 'post_id', new.post_id, 'member_id', $2::uuid), $3
    FROM new
    RETURNING id
)
SELECT post.may, (SELECT id FROM delivery) AS job_id, (SELECT id FROM new) AS repost_id FROM post;

-- name: unrepost (prepared)
-- Take a repost back, also of a post that the member may not read any more. Like who deletes it, lock the post first.
WITH post AS MATERIALIZED (SELECT id, author_id FROM feed.posts WHERE id = $1 FOR NO KEY UPDATE),
gone AS (
    DELETE FROM feed.reposts USING post WHERE post_id = post.id AND member_id = $2 RETURNING post_id, is_counted
),
told AS (
    INSERT INTO jobs.jobs (kind, payload, request_id)
    SELECT 'notify', jsonb_build_object('type', 'reaction', 'kind', 'repost', 'post_id', gone.post_id,
                                        'author_id', post.author_id, 'member_id', $2::uuid), $3
    FROM gone, post WHERE post.author_id <> $2
)
UPDATE feed.posts SET reposts_count = greatest(reposts_count - 1, 0)
WHERE id = (SELECT post_id FROM gone WHERE is_counted);
