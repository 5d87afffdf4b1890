-- Of members who match as well and are as near, those who post come first (docs/search.md). What is kept is a day, written
-- at most once a day for each member, and no more than everybody may read anyway: what a member lets fewer read, or when
-- they were there, is nowhere in it.

-- The day (UTC) of a member's latest post that everybody may read, of the last four weeks. Index: posts_by_author.
CREATE FUNCTION search.active_on(member uuid) RETURNS date
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
RETURN (
    SELECT (uuid_extract_timestamp(p.id) AT TIME ZONE 'UTC')::date
    FROM feed.posts p JOIN feed.members m ON m.id = p.author_id
    WHERE p.author_id = member AND p.visibility = 'public' AND p.deleted_at IS NULL
      -- The id has the time in it.
      AND p.id > (SELECT uuidv7(interval '-28 days'))
      AND NOT m.is_private AND m.hidden_at IS NULL
    ORDER BY p.id DESC LIMIT 1
);
REVOKE ALL ON FUNCTION search.active_on FROM public;
GRANT EXECUTE ON FUNCTION search.active_on TO chitlaq_search;

-- What that adds to a member's points.
CREATE FUNCTION search.activity(active_on date) RETURNS integer
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN active_on > current_date - 28 THEN 1 ELSE 0 END;

ALTER TABLE search.members ADD COLUMN active_on date;
-- Room for a row's next version beside it: then none of the 70 entries of its tokens is written again.
ALTER TABLE search.members SET (fillfactor = 90);

CREATE OR REPLACE VIEW search.indexed AS
SELECT m.id AS member_id,
       search.tokens_of(f.named, f.names, f.department, m.bio, p.place, p.fame) AS tokens,
       search.called(f.named, f.names) AS called,
       search.hashed('w' || array_to_string(array_sort(f.names), ' ')) AS whole,
       search.hashed('a' || m.username) AS username,
       search.hashed('u' || m.university_id) AS university,
       p.place, p.fame::smallint AS fame,
       m.hidden_at IS NULL AND m.may_find = 'everyone' AS is_open,
       search.active_on(m.id) AS active_on
FROM feed.members m
CROSS JOIN LATERAL (
    SELECT search.named(m.username, m.display_name) AS named, search.split(search.folded(m.display_name)) AS names,
           search.folded(m.department) AS department OFFSET 0
) f
CROSS JOIN LATERAL (
    SELECT search.hashed('p' || m.university_id || f.department) AS place, search.fame(m.followers_count) AS fame OFFSET 0
) p
WHERE m.university_id IS NOT NULL;

CREATE OR REPLACE FUNCTION search.index_members(ids uuid[]) RETURNS void
LANGUAGE sql
AS $$
    INSERT INTO search.members AS s
    SELECT i.* FROM search.indexed i WHERE i.member_id = ANY (ids)
    ON CONFLICT (member_id) DO UPDATE
    SET tokens = excluded.tokens, called = excluded.called, whole = excluded.whole, username = excluded.username,
        university = excluded.university, place = excluded.place, fame = excluded.fame, is_open = excluded.is_open,
        active_on = excluded.active_on
$$;

-- Whose posts become private, or public, is no longer active, or is again.
CREATE OR REPLACE TRIGGER search_follows_changed
AFTER UPDATE OF username, display_name, department, bio, university_id, followers_count, hidden_at, may_find, is_private
ON feed.members
FOR EACH ROW
WHEN ((OLD.username, OLD.display_name, OLD.department, OLD.bio, OLD.university_id, OLD.hidden_at IS NULL, OLD.may_find,
       OLD.is_private, width_bucket(OLD.followers_count, ARRAY[16, 128, 1024, 8192]))
      IS DISTINCT FROM
      (NEW.username, NEW.display_name, NEW.department, NEW.bio, NEW.university_id, NEW.hidden_at IS NULL, NEW.may_find,
       NEW.is_private, width_bucket(NEW.followers_count, ARRAY[16, 128, 1024, 8192])))
EXECUTE FUNCTION search.follow_member();

-- In the transaction that changes a post. Of a day's posts, the first writes; the others look at one row. Who posts has
-- their own row of feed.members locked, so nobody waits here.
CREATE FUNCTION search.follow_activity() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    UPDATE search.members s SET active_on = search.active_on(s.member_id)
    WHERE s.member_id = NEW.author_id
      AND (TG_OP = 'UPDATE' OR s.active_on IS DISTINCT FROM (now() AT TIME ZONE 'UTC')::date)
      AND s.active_on IS DISTINCT FROM search.active_on(s.member_id);
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION search.follow_activity FROM public;
CREATE TRIGGER search_notes_activity AFTER INSERT ON feed.posts
FOR EACH ROW WHEN (NEW.visibility = 'public')
EXECUTE FUNCTION search.follow_activity();
CREATE TRIGGER search_notes_changed_activity AFTER UPDATE OF visibility, deleted_at ON feed.posts
FOR EACH ROW
WHEN (NEW.author_id IS NOT NULL
      AND (OLD.visibility = 'public' AND OLD.deleted_at IS NULL)
          <> (NEW.visibility = 'public' AND NEW.deleted_at IS NULL))
EXECUTE FUNCTION search.follow_activity();

-- Of few who match equally well known ones, those who post are ranked.
DO $$
DECLARE
    known constant text := 's.fame DESC, s.member_id LIMIT wanted';
    source constant text := pg_get_functiondef('search.candidates'::regproc);
BEGIN
    ASSERT strpos(source, known) > 0;
    EXECUTE replace(source, known, 's.fame DESC, s.active_on DESC NULLS LAST, s.member_id LIMIT wanted');
END
$$;

-- Who was active before this is written by a job, a hundred at a time: all at once would keep posts waiting.
CREATE POLICY index_activity ON jobs.jobs TO chitlaq_search USING (kind = 'index_activity');
INSERT INTO jobs.jobs (kind, payload, request_id) SELECT 'index_activity', '{}', repeat('0', 32)
WHERE EXISTS (SELECT FROM feed.members);
