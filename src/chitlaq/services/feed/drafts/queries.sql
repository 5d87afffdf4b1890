-- name: drafts
-- A member's drafts, newest first. Index: drafts_by_member.
SELECT id, post, scheduled_at, failure, created_at, updated_at
FROM feed.drafts WHERE member_id = $1 AND ($2::uuid IS NULL OR id < $2)
ORDER BY id DESC
OFFSET $3 LIMIT $4;

-- name: add_draft
-- Add a draft, unless the member, whose row is locked, has $5; $4 is the id of the job if it is scheduled.
INSERT INTO feed.drafts (member_id, post, scheduled_at, job_id, idempotency_key, request_hash)
SELECT $1, $2, $3::timestamptz, CASE WHEN $3::timestamptz IS NOT NULL THEN $4::uuid END, $6, $7
WHERE (SELECT count(*) FROM feed.drafts WHERE member_id = $1) < $5
RETURNING id, post, scheduled_at, failure, created_at, updated_at, job_id;

-- name: draft_by_idempotency_key
-- What the member kept under this key. Index: drafts' unique index.
SELECT id, post, scheduled_at, failure, created_at, updated_at, request_hash
FROM feed.drafts WHERE member_id = $1 AND idempotency_key = $2;

-- name: own_draft
-- A member's own draft, locked to be changed.
SELECT post, scheduled_at, job_id FROM feed.drafts WHERE id = $1 AND member_id = $2 FOR UPDATE;

-- name: update_draft
-- Change a draft, with the id of the job ($4) if it is scheduled.
UPDATE feed.drafts
SET post = $2, scheduled_at = $3::timestamptz, failure = NULL, updated_at = now(),
    job_id = CASE WHEN $3::timestamptz IS NOT NULL THEN $4::uuid END
WHERE id = $1
RETURNING id, post, scheduled_at, failure, created_at, updated_at, job_id;

-- name: delete_draft
-- Delete a member's own draft; its job.
DELETE FROM feed.drafts WHERE id = $1 AND member_id = $2 RETURNING job_id;

-- name: schedule_draft
-- The job that publishes a draft at $4. Its age counts from then: until then nothing waits for it.
INSERT INTO jobs.jobs (id, kind, payload, request_id, created_at, due_at)
VALUES ($1, 'publish_draft', $2, $3, $4, $4);

-- name: unschedule_draft
-- Forget the job of a draft; one that is being completed waits for the draft, and finds it changed.
DELETE FROM jobs.jobs WHERE id IN (SELECT id FROM jobs.jobs WHERE id = $1 FOR UPDATE SKIP LOCKED);

-- name: due_draft
-- A draft that is due, locked to be published; whether its member's account is closed, for a while or for good.
SELECT d.member_id, d.post, d.idempotency_key,
       m.hidden_at IS NOT NULL OR EXISTS (SELECT FROM auth.disabled_accounts a WHERE a.id = m.id) AS is_closed
FROM feed.drafts d JOIN feed.members m ON m.id = d.member_id
WHERE d.id = $1 AND d.scheduled_at <= now()
FOR UPDATE OF d;

-- name: fail_draft
-- Say why a draft was not published; it is scheduled no more.
UPDATE feed.drafts SET failure = $2, scheduled_at = NULL, job_id = NULL WHERE id = $1;
