-- name: readable (prepared)
-- Those of these posts that a viewer may read, as they see them.
SELECT p.id, p.version, p.author_id, p.author_version, p.quote_of, p.has_poll, p.likes, p.replies, p.reposts,
       p.liked, p.reposted, p.bookmarked
FROM feed.readable_by_id($1, $2) p;

-- name: shown_quotes (prepared)
-- Of these posts ($3), quoted by these members ($2), those that a viewer sees there, each after who quotes it.
SELECT p.quoting_id, p.id, p.version, p.author_id, p.author_version, p.quote_of, p.has_poll, p.likes, p.replies, p.reposts,
       p.liked, p.reposted, p.bookmarked
FROM feed.shown_quotes($1, $2, $3) p;

-- name: post_contents (prepared)
-- What posts say, whoever reads them: the caller knows who may. The array is a subquery, here and below, to hide its
-- length from the planner, which would otherwise replan for each.
SELECT p.version, p.id, p.text, p.visibility, p.reply_to, p.quote_of, p.quote_detached, p.quotable_by,
       p.created_at, p.edited_at, p.content_warning,
       ARRAY(SELECT m.username FROM feed.post_mentions n JOIN feed.members m ON m.id = n.member_id
             WHERE n.post_id = p.id ORDER BY m.username) AS mentions,
       ARRAY(SELECT t.tag FROM feed.post_tags t WHERE t.post_id = p.id ORDER BY t.tag) AS tags,
       p.has_media
FROM feed.posts p WHERE p.id = ANY ((SELECT $1::uuid[])::uuid[]) AND p.deleted_at IS NULL;

-- name: post_authors (prepared)
-- Who wrote posts, by id.
SELECT id, version, username, display_name, avatar_url FROM feed.members WHERE id = ANY ((SELECT $1::uuid[])::uuid[]);

-- name: polls (prepared)
-- The polls of posts that the viewer may read, as the viewer sees them.
SELECT q.post_id, q.options, q.votes, q.voters, q.expires_at, q.is_multiple, v.choices,
       q.expires_at <= now() AS is_ended, p.author_id = $1 AS is_own
FROM feed.polls q
JOIN feed.posts p ON p.id = q.post_id
LEFT JOIN feed.poll_votes v ON v.post_id = q.post_id AND v.member_id = $1
WHERE q.post_id = ANY ((SELECT $2::uuid[])::uuid[]);

-- name: plan_daily
-- Plan a job of this kind for tomorrow, unless there is one.
INSERT INTO jobs.jobs (kind, due_at, payload, request_id)
SELECT $1, now() + interval '1 day', '{}', $2
WHERE NOT EXISTS (SELECT FROM jobs.jobs WHERE kind = $1);
