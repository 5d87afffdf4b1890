-- Operators compare a part of the pictures' files with what is stored. The name says which picture a file is of.
CREATE OR REPLACE VIEW feed.media_objects AS
SELECT format('pictures/%s/%s-%s.%s', left(m.name, 2), m.name, f.size, f.format) AS object, f.bytes, f.sha256, m.name
FROM feed.media m JOIN feed.media_files f ON f.media_id = m.id
WHERE m.deleted_at IS NULL AND m.owner_id IS NOT NULL
UNION ALL
SELECT 'originals/' || m.name, m.bytes, m.sha256, m.name
FROM feed.media m WHERE m.state = 'processing' AND m.deleted_at IS NULL AND m.owner_id IS NOT NULL;

-- The files of so many pictures, chosen by chance: names are random, so those beyond a random one are a fair sample.
-- Index: media's unique index.
CREATE FUNCTION feed.sampled_media(wanted integer) RETURNS TABLE (object text, bytes bigint, name text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    beginning text := md5(random()::text);
BEGIN
    RETURN QUERY
    WITH chosen AS MATERIALIZED (
        (SELECT m.name FROM feed.media m WHERE m.name >= beginning ORDER BY m.name LIMIT wanted)
        UNION ALL
        (SELECT m.name FROM feed.media m WHERE m.name < beginning ORDER BY m.name LIMIT wanted)
        LIMIT wanted
    )
    SELECT o.object, o.bytes, o.name FROM feed.media_objects o
    WHERE o.name = ANY (ARRAY(SELECT c.name FROM chosen c));
END
$$;
REVOKE ALL ON FUNCTION feed.sampled_media FROM public;
GRANT EXECUTE ON FUNCTION feed.sampled_media TO chitlaq_ops;
GRANT SELECT (object, name) ON feed.media_objects TO chitlaq_ops;
