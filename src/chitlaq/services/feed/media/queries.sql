-- name: lock_uploads
-- Let a member's uploads be counted one after the other.
SELECT id FROM feed.members WHERE id = $1 FOR NO KEY UPDATE;

-- name: uploads_of_member
-- What a member uploaded within an hour, when the first of that was, and what all their pictures take.
-- Index: media_by_owner.
SELECT count(*) FILTER (WHERE created_at > now() - interval '1 hour')::integer AS uploads,
       extract(epoch FROM min(created_at) FILTER (WHERE created_at > now() - interval '1 hour')
               + interval '1 hour' - now())::float8 AS seconds,
       coalesce(sum(bytes) FILTER (WHERE deleted_at IS NULL), 0)::bigint AS bytes
FROM feed.media WHERE owner_id = $1;

-- name: are_rendered_later
-- Whether so many pictures wait to be rendered. Index: jobs_due.
SELECT count(*) >= $1 FROM (SELECT FROM jobs.jobs WHERE kind = 'render_picture' AND state <> 'dead' LIMIT $1) AS waiting;

-- name: insert_media
-- Note a picture that is about to be stored. No row if the owner has used the idempotency key before.
INSERT INTO feed.media
    (owner_id, purpose, name, alt, width, height, is_animated, bytes, sha256, idempotency_key)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (owner_id, idempotency_key) DO NOTHING
RETURNING id, name, state;

-- name: media_by_idempotency_key
-- The picture that was uploaded under this key, unless it is deleted. Index: media's unique index.
SELECT id, name, state, sha256, purpose FROM feed.media
WHERE owner_id = $1 AND idempotency_key = $2 AND deleted_at IS NULL;

-- name: media_is_stored
-- The store has what was uploaded.
UPDATE feed.media SET state = 'processing' WHERE id = $1 AND state = 'uploading' AND deleted_at IS NULL;

-- name: supersede_uploads
-- Of pictures for a profile only the newest is rendered and shown.
UPDATE feed.media m SET deleted_at = now() FROM feed.media n
WHERE n.id = $1 AND n.purpose <> 'post' AND m.owner_id = n.owner_id AND m.purpose = n.purpose AND m.id < n.id
  AND NOT m.is_used AND m.deleted_at IS NULL;

-- name: forget_upload
-- What was to be stored was not.
DELETE FROM feed.media WHERE id = $1 AND state = 'uploading';

-- name: own_media
-- A picture, as its owner sees it.
SELECT m.id, m.state, m.reason, m.alt, m.width, m.height, m.is_animated, m.blurhash,
       EXISTS (SELECT FROM feed.media_files f WHERE f.media_id = m.id AND f.size = 'still') AS has_still
FROM feed.media m WHERE m.id = $2 AND m.owner_id = $1 AND m.deleted_at IS NULL AND m.state <> 'uploading';

-- name: update_alt
-- Change the description of one's own picture.
UPDATE feed.media SET alt = $3
WHERE id = $2 AND owner_id = $1 AND deleted_at IS NULL AND state <> 'uploading' AND alt <> $3;

-- name: media_to_render
-- A picture that was stored and not rendered.
SELECT purpose, owner_id FROM feed.media
WHERE id = $1 AND state = 'processing' AND deleted_at IS NULL AND owner_id IS NOT NULL;

-- name: media_is_kept
-- Whether a picture is there, and not to be deleted.
SELECT EXISTS (SELECT FROM feed.media WHERE id = $1 AND deleted_at IS NULL AND owner_id IS NOT NULL);

-- name: media_is_ready
-- A picture can be shown from now on.
UPDATE feed.media
SET state = 'ready', width = $2, height = $3, is_animated = $4, blurhash = $5, bytes = $6
WHERE id = $1 AND state = 'processing' AND deleted_at IS NULL AND owner_id IS NOT NULL;

-- name: insert_media_files
-- The files of a picture.
INSERT INTO feed.media_files (media_id, size, format, bytes, sha256)
SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bytea[]);

-- name: media_has_failed
-- A picture cannot be shown.
UPDATE feed.media SET state = 'failed', reason = $2, bytes = 0 WHERE id = $1 AND state = 'processing';

-- name: original_is_deleted
-- The store has what was uploaded no longer.
UPDATE feed.media SET has_original = false WHERE id = $1 AND state IN ('ready', 'failed');

-- name: use_on_profile
-- Show a picture on its owner's profile, in place of the one before. A picture for posts changes nothing.
WITH used AS (
    UPDATE feed.media SET is_used = true WHERE id = $1 AND purpose <> 'post' RETURNING owner_id, purpose
), replaced AS (
    UPDATE feed.media m SET deleted_at = now() FROM used
    WHERE m.owner_id = used.owner_id AND m.purpose = used.purpose AND m.id <> $1 AND m.is_used AND m.deleted_at IS NULL
)
UPDATE feed.members m
SET avatar_url = CASE WHEN used.purpose = 'avatar' THEN $2 ELSE m.avatar_url END,
    banner_url = CASE WHEN used.purpose = 'banner' THEN $2 ELSE m.banner_url END
FROM used WHERE m.id = used.owner_id;

-- name: leave_profile
-- Show no picture of this purpose on a member's profile.
WITH gone AS (
    UPDATE feed.media SET deleted_at = now() WHERE owner_id = $1 AND purpose = $2 AND deleted_at IS NULL
)
UPDATE feed.members
SET avatar_url = CASE WHEN $2 = 'avatar' THEN NULL ELSE avatar_url END,
    banner_url = CASE WHEN $2 = 'banner' THEN NULL ELSE banner_url END
WHERE id = $1;

-- name: visible_file (prepared)
-- A file of a picture, if the viewer may see it: those of profiles, one's own that are in nothing yet, and those of
-- posts, messages and groups that the viewer may read. Public is what somebody who is not signed in sees, too.
SELECT m.name, f.format, m.purpose <> 'post' OR (m.is_used AND EXISTS (
           SELECT FROM feed.post_media o JOIN feed.permitted_posts(NULL) p ON p.id = o.post_id WHERE o.media_id = m.id
       )) AS is_public
FROM feed.media m
JOIN feed.media_files f ON f.media_id = m.id AND f.size = $3 AND (f.format = 'webp' OR $4)
WHERE m.id = $2 AND m.deleted_at IS NULL AND m.owner_id IS NOT NULL AND m.state = 'ready'
  AND CASE
      WHEN m.purpose <> 'post'
      THEN m.is_used AND NOT EXISTS (SELECT FROM feed.members w WHERE w.id = m.owner_id AND w.hidden_at IS NOT NULL)
      WHEN NOT m.is_used THEN m.owner_id = $1
      ELSE EXISTS (
          SELECT FROM feed.post_media o JOIN feed.permitted_posts($1) p ON p.id = o.post_id WHERE o.media_id = m.id
      ) OR EXISTS (SELECT FROM websocket.media_readers r WHERE r.media_id = m.id AND r.account_id = $1) END
ORDER BY f.format LIMIT 1;

-- name: pictures_of_posts (prepared)
-- What posts show, in order; what failed is left out. Index: post_media's primary key.
SELECT o.post_id, m.id, m.width, m.height, m.alt, m.blurhash, m.has_still
FROM feed.post_media o JOIN feed.picture_cards m ON m.id = o.media_id
WHERE o.post_id = ANY ((SELECT $1::uuid[])::uuid[])
ORDER BY o.post_id, o.position;

-- name: media_to_collect
-- Pictures whose files are to be deleted: deleted, of nobody, or in no post, message, group or draft within a day.
-- Nobody can use one from now on. Indexes: media_to_collect, drafts_by_member.
WITH chosen AS (
    SELECT m.id FROM feed.media m
    WHERE m.deleted_at IS NOT NULL OR m.owner_id IS NULL
       OR (NOT m.is_used AND m.created_at < now() - interval '1 day'
           AND NOT EXISTS (SELECT FROM feed.drafts d
                           WHERE d.member_id = m.owner_id AND d.post -> 'media_ids' ? m.id::text))
    ORDER BY m.created_at LIMIT $1 FOR UPDATE OF m SKIP LOCKED
)
UPDATE feed.media m SET deleted_at = coalesce(m.deleted_at, now()) FROM chosen WHERE m.id = chosen.id
RETURNING m.id, m.name;

-- name: delete_media
-- Forget pictures whose files are deleted; their number and size.
WITH gone AS (DELETE FROM feed.media WHERE id = ANY ($1::uuid[]) AND deleted_at IS NOT NULL RETURNING bytes)
SELECT count(*)::integer AS pictures, coalesce(sum(bytes), 0)::bigint AS bytes FROM gone;

-- name: originals_to_delete
-- What was uploaded and is not needed any more. Index: media_to_collect.
SELECT id, name FROM feed.media
WHERE has_original AND state IN ('ready', 'failed') AND created_at < now() - interval '10 minutes' LIMIT $1;

-- name: known_media
-- Which of these names pictures have. Index: media's unique index.
SELECT name FROM feed.media WHERE name = ANY ($1::text[]);

-- name: erase_media
-- Let nobody see a member's pictures any more.
UPDATE feed.media SET deleted_at = now() WHERE owner_id = $1 AND deleted_at IS NULL;

-- name: media_of_member
-- A member's pictures that are to be deleted.
SELECT id, name FROM feed.media WHERE owner_id = $1 ORDER BY id LIMIT $2;
