-- Pictures: what was uploaded, the files that were made of it, and the posts and members that show them (docs/feed.md).

CREATE TABLE feed.media (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    -- Null when the account is gone: the row stays until its files are.
    owner_id uuid REFERENCES feed.members ON DELETE SET NULL,
    purpose text NOT NULL CHECK (purpose IN ('post', 'avatar', 'banner')),
    -- Uploading: its row is there before its file, so that no file is without a row.
    state text NOT NULL DEFAULT 'uploading' CHECK (state IN ('uploading', 'processing', 'ready', 'failed')),
    reason text CHECK ((state = 'failed') = (reason IS NOT NULL)),
    -- In the store, and nowhere else.
    name text NOT NULL UNIQUE CHECK (name ~ '^[0-9a-f]{32}$'),
    alt text NOT NULL CHECK (char_length(alt) <= 1500),
    -- Of the largest rendition.
    width integer NOT NULL CHECK (width > 0),
    height integer NOT NULL CHECK (height > 0),
    is_animated boolean NOT NULL,
    blurhash text CHECK (char_length(blurhash) BETWEEN 6 AND 100),
    -- What it takes in the store.
    bytes bigint NOT NULL CHECK (bytes >= 0),
    -- SHA-256 of what was uploaded.
    sha256 bytea NOT NULL CHECK (length(sha256) = 32),
    idempotency_key text CHECK (char_length(idempotency_key) BETWEEN 1 AND 200),
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Whether the store still has what was uploaded, with all that cameras write into it.
    has_original boolean NOT NULL DEFAULT true,
    -- Whether a post, or a member's profile, shows it.
    is_used boolean NOT NULL DEFAULT false,
    -- From then on nobody sees it, and its files are deleted soon.
    deleted_at timestamptz,
    CHECK ((state = 'ready') = (blurhash IS NOT NULL)),
    UNIQUE (owner_id, idempotency_key)
);
CREATE INDEX media_by_owner ON feed.media (owner_id, created_at);
CREATE INDEX media_to_collect ON feed.media (created_at)
WHERE deleted_at IS NOT NULL OR owner_id IS NULL OR NOT is_used OR has_original;

-- The files of what is ready: `large.webp`.
CREATE TABLE feed.media_files (
    media_id uuid NOT NULL REFERENCES feed.media ON DELETE CASCADE,
    size text NOT NULL CHECK (size IN ('small', 'medium', 'large')),
    format text NOT NULL CHECK (format IN ('avif', 'webp')),
    bytes bigint NOT NULL CHECK (bytes > 0),
    sha256 bytea NOT NULL CHECK (length(sha256) = 32),
    PRIMARY KEY (media_id, size, format)
);

CREATE TABLE feed.post_media (
    post_id uuid NOT NULL REFERENCES feed.posts ON DELETE CASCADE,
    position smallint NOT NULL CHECK (position BETWEEN 0 AND 3),
    -- One picture is in one post.
    media_id uuid NOT NULL UNIQUE REFERENCES feed.media,
    PRIMARY KEY (post_id, position)
);

-- What an author may put into a new post. Being a plain SQL function it is expanded into the query that uses it.
CREATE FUNCTION feed.attachable_media(author uuid) RETURNS TABLE (id uuid)
LANGUAGE sql STABLE
AS $$
    SELECT m.id FROM feed.media m
    WHERE m.owner_id = author AND m.purpose = 'post' AND m.state IN ('processing', 'ready')
      AND m.deleted_at IS NULL AND NOT m.is_used
$$;

-- However a post gets and loses its pictures, they know.
CREATE FUNCTION feed.note_use_of_media() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        UPDATE feed.media SET is_used = true WHERE id = NEW.media_id AND deleted_at IS NULL;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'the picture is deleted' USING ERRCODE = 'foreign_key_violation';
        END IF;
    ELSE
        UPDATE feed.media SET deleted_at = coalesce(deleted_at, now()) WHERE id = OLD.media_id;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER note_use_of_media AFTER INSERT OR DELETE ON feed.post_media
FOR EACH ROW EXECUTE FUNCTION feed.note_use_of_media();

CREATE FUNCTION feed.delete_media_of_post() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    DELETE FROM feed.post_media WHERE post_id = NEW.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER delete_media_of_post AFTER UPDATE OF deleted_at ON feed.posts
FOR EACH ROW WHEN (OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL)
EXECUTE FUNCTION feed.delete_media_of_post();

-- What a post shows is cached by the post's version.
CREATE FUNCTION feed.renew_post_of_media() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE feed.posts SET version = version + 1
    WHERE id = (SELECT o.post_id FROM feed.post_media o WHERE o.media_id = NEW.id);
    RETURN NULL;
END
$$;
CREATE TRIGGER renew_post_of_media AFTER UPDATE OF state, alt ON feed.media
FOR EACH ROW WHEN (NEW.is_used AND (OLD.state, OLD.alt) IS DISTINCT FROM (NEW.state, NEW.alt))
EXECUTE FUNCTION feed.renew_post_of_media();

CREATE POLICY render_picture ON jobs.jobs TO chitlaq_feed USING (kind = 'render_picture');

-- Every file that the store must have: for backups, which compare.
CREATE VIEW feed.media_objects AS
SELECT format('pictures/%s/%s-%s.%s', left(m.name, 2), m.name, f.size, f.format) AS object, f.bytes, f.sha256
FROM feed.media m JOIN feed.media_files f ON f.media_id = m.id
WHERE m.deleted_at IS NULL AND m.owner_id IS NOT NULL
UNION ALL
SELECT 'originals/' || m.name, m.bytes, m.sha256
FROM feed.media m WHERE m.state = 'processing' AND m.deleted_at IS NULL AND m.owner_id IS NOT NULL;

-- An export has pictures as they are, beside objects that become pages.
ALTER TABLE auth.export_files ADD COLUMN suffix text NOT NULL DEFAULT '' CHECK (suffix IN ('', 'webp'));
DROP FUNCTION auth.add_export_file;
CREATE FUNCTION auth.add_export_file(
    export uuid, name text, title text, rows integer, content bytea, suffix text DEFAULT ''
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = ''
AS $$
    INSERT INTO auth.export_files (export_id, name, title, rows, content, suffix)
    SELECT e.id, replace(session_user, 'chitlaq_', '') || '/' || add_export_file.name, title, rows, content, suffix
    FROM auth.exports e WHERE e.id = export AND session_user = ANY (e.contributors) AND e.ready_at IS NULL
    ON CONFLICT (export_id, name) DO UPDATE
    SET title = excluded.title, rows = excluded.rows, content = excluded.content, suffix = excluded.suffix
$$;
REVOKE ALL ON FUNCTION auth.add_export_file FROM public;
GRANT EXECUTE ON FUNCTION auth.add_export_file TO chitlaq_auth, chitlaq_feed, chitlaq_websocket;

-- For operators: no picture, and nobody's.
CREATE VIEW feed.media_totals AS
SELECT count(*) FILTER (WHERE state = 'ready') AS pictures, coalesce(sum(bytes), 0)::float8 AS bytes,
       coalesce(sum(bytes) FILTER (WHERE created_at > now() - interval '30 days'), 0)::float8 AS bytes_month,
       count(*) FILTER (WHERE created_at > now() - interval '1 day') AS uploaded,
       count(*) FILTER (WHERE state = 'failed' AND created_at > now() - interval '1 day') AS failed,
       coalesce(extract(epoch FROM now() - min(created_at) FILTER (WHERE state = 'processing')), 0)::float8 AS oldest
FROM feed.media WHERE deleted_at IS NULL;
GRANT SELECT ON feed.media_totals TO chitlaq_ops;
