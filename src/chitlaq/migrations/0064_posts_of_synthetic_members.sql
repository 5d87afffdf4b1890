-- Synthetic members post as members do: each is a member of the feed, without a university. Whatever shows, finds or
-- counts members asks for their university, so nobody meets one; what does not asks here. The version before this one
-- needs none of it.

ALTER TABLE feed.members
    ALTER university_id DROP NOT NULL,
    ADD CONSTRAINT members_university_or_synthetic
        CHECK (university_id IS NOT NULL OR username LIKE 'synthetic\_%') NOT VALID;

-- What no member searches for: no row of the index, and no words for what is typed.
CREATE OR REPLACE VIEW search.indexed AS
SELECT m.id AS member_id,
       search.tokens_of(f.named, f.names, f.department, m.bio, p.place, p.fame) AS tokens,
       search.called(f.named, f.names) AS called,
       search.hashed('w' || array_to_string(array_sort(f.names), ' ')) AS whole,
       search.hashed('a' || m.username) AS username,
       search.hashed('u' || m.university_id) AS university,
       p.place, p.fame::smallint AS fame,
       m.hidden_at IS NULL AND m.may_find = 'everyone' AS is_open
FROM feed.members m
CROSS JOIN LATERAL (
    SELECT search.named(m.username, m.display_name) AS named, search.split(search.folded(m.display_name)) AS names,
           search.folded(m.department) AS department OFFSET 0
) f
CROSS JOIN LATERAL (
    SELECT search.hashed('p' || m.university_id || f.department) AS place, search.fame(m.followers_count) AS fame OFFSET 0
) p
WHERE m.university_id IS NOT NULL;

CREATE OR REPLACE FUNCTION search.words_of(m feed.members) RETURNS text[]
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN m.university_id IS NULL THEN '{}'
       ELSE search.named(m.username, m.display_name) || search.split(search.folded(m.department || ' ' || m.bio)) END;

-- Whom announcements are for.
CREATE OR REPLACE VIEW feed.member_ids AS SELECT id, username FROM feed.members WHERE university_id IS NOT NULL;

CREATE OR REPLACE VIEW feed.ranking_age AS
SELECT coalesce(extract(epoch FROM now() - coalesce(
    (SELECT max(made_at) FROM feed.rankings),
    (SELECT min(created_at) FROM feed.members WHERE university_id IS NOT NULL)
)), 0)::float8 AS seconds;

-- Of the synthetic members' posts there are few: they are taken away from all, which a join would look up for each.
CREATE OR REPLACE VIEW feed.growth AS
SELECT (SELECT count(*) FROM feed.members WHERE university_id IS NOT NULL) AS members,
       (SELECT count(*) FROM feed.members
        WHERE university_id IS NOT NULL AND created_at > now() - interval '30 days') AS members_month,
       (SELECT count(*) FROM feed.posts WHERE deleted_at IS NULL) - s.posts AS posts,
       -- The id has the time in it, and an index.
       (SELECT count(*) FROM feed.posts
        WHERE id > (SELECT uuidv7(interval '-30 days')) AND deleted_at IS NULL) - s.posts AS posts_month
FROM (SELECT count(*) AS posts FROM feed.posts p JOIN feed.members m ON m.id = p.author_id
      WHERE m.university_id IS NULL AND p.deleted_at IS NULL) s;

-- They are made by whichever version is asked first, so the account makes the member.
CREATE FUNCTION feed.create_synthetic_member() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    INSERT INTO feed.members (id, username, display_name) VALUES (NEW.id, NEW.username, NEW.display_name);
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION feed.create_synthetic_member FROM public;
CREATE TRIGGER create_synthetic_member AFTER INSERT ON auth.accounts
FOR EACH ROW WHEN (NEW.is_synthetic) EXECUTE FUNCTION feed.create_synthetic_member();

INSERT INTO feed.members (id, username, display_name)
SELECT a.id, a.username, a.display_name FROM auth.accounts a WHERE a.is_synthetic;
