-- name: words_like (prepared)
-- For each of the typed words $1: words that begin with it, and those that share a key with it ($2, an array as text, or
-- null), the nearest first.
SELECT w.number, w.word, w.uses, w.is_beginning FROM search.words_like($1, $2) w;

-- name: words_containing
-- For each of the typed words $1, escaped for LIKE: words that contain it further in. Index: words_by_part (trigrams).
SELECT t.number, w.word, w.uses
FROM unnest($1::text[]) WITH ORDINALITY t (typed, number)
CROSS JOIN LATERAL (
    SELECT w.word, w.uses FROM search.words w WHERE w.word LIKE '_%' || t.typed || '%' ORDER BY w.uses DESC, w.word LIMIT 24
) w;

-- name: common_beginnings
-- Words and their beginnings that more than $1 members have, as tokens.
SELECT 'n' || w.word AS token, w.uses FROM search.words w WHERE w.uses > $1
UNION ALL
SELECT 'b' || left(w.word, n), sum(w.uses)
FROM search.words w CROSS JOIN LATERAL generate_series(1, length(w.word)) n
WHERE w.uses > 0 GROUP BY 1 HAVING sum(w.uses) > $1;

-- name: members_indexed
-- How many rows were ever added to the index of members, as PostgreSQL counts, and how many it has, about; 0 is unknown.
SELECT pg_stat_get_tuples_inserted(c.oid) AS added, greatest(0, c.reltuples)::bigint AS members
FROM pg_class c WHERE c.oid = 'search.members'::regclass;

-- name: members_matching (prepared)
-- Members that have a token of each of three groups ($3 to $5; one may be alone), at most $2, as `search.candidates`
-- finds them; of these, whom the viewer $1 may find, the best match first: for each group, whether it is the word itself
-- ($11 to $13: patterns of the name), begins with it ($8 to $10), or is an edit apart ($14 to $16); the whole name or
-- username ($17, $18); then closeness, fame and activity. Groups that repeat one have nulls there. Of one word, who has one
-- of the tokens $21 is ranked in any case, if they are not too many. They are the word itself; or, of a mistyped word
-- ($22), those of whose name begins as typed, who comes before one an edit apart, and that before the rest. Of equal
-- ones, who posted later comes first. If the viewer may find none of so many, rows without a member say that there may be
-- more.
SELECT m.id, m.username, m.display_name, m.department, m.avatar_url, m.bio, m.university, r.score, r.found, r.is_cut
FROM (
    SELECT c.member_id, c.score, c.active_on, c.is_findable,
           count(*) FILTER (WHERE c.is_findable) OVER () AS found, count(*) OVER () >= $2 AS is_cut
    FROM (
        SELECT c.member_id, c.active_on,
               CASE WHEN c.called LIKE ANY ($11::text[]) THEN 6 WHEN c.called LIKE ANY ($8::text[]) THEN 4
                    WHEN c.called LIKE ANY ($14::text[]) THEN 3 ELSE 2 END
               + CASE WHEN c.called LIKE ANY ($12::text[]) THEN 6 WHEN c.called LIKE ANY ($9::text[]) THEN 4
                      WHEN c.called LIKE ANY ($15::text[]) THEN 3 ELSE 2 END
               + CASE WHEN c.called LIKE ANY ($13::text[]) THEN 6 WHEN c.called LIKE ANY ($10::text[]) THEN 4
                      WHEN c.called LIKE ANY ($16::text[]) THEN 3 ELSE 2 END
               + CASE WHEN c.whole = $17 OR c.username = $18 THEN 4 ELSE 0 END
               + CASE WHEN f.followed_id IS NULL THEN 0 ELSE 5 END
               + CASE WHEN c.place = (SELECT o.place FROM search.members o WHERE o.member_id = $1) THEN 2 ELSE 0 END
               + CASE WHEN c.university = (SELECT o.university FROM search.members o WHERE o.member_id = $1)
                      THEN 1 ELSE 0 END
               + CASE WHEN NOT $22::boolean THEN 0 WHEN c.called LIKE ANY ($8) THEN 24
                      WHEN c.called LIKE ANY ($14) THEN 12 ELSE 0 END
               + c.fame + search.activity(c.active_on) AS score,
               -- As `feed.findable_members` has it, without asking that of each.
               CASE WHEN c.is_open AND $1 IS NOT NULL
                    THEN c.member_id <> ALL (ARRAY(
                        SELECT b.blocked_id FROM feed.block_pairs b WHERE b.blocker_id = $1
                        UNION ALL SELECT b.blocker_id FROM feed.block_pairs b WHERE b.blocked_id = $1))
                    ELSE search.may_find($1, c.member_id) END AS is_findable
        FROM search.candidates(
            $1, $17, $18, $21,
            CASE WHEN $22 THEN $8::text[] || $14::text[] ELSE $11::text[] END,
            CASE WHEN $22 THEN $2 ELSE $2 / 2 END,
            $3, $4, $5, $6, $2, $7, $8, $9, $10
        ) c
        LEFT JOIN feed.follow_pairs f ON f.follower_id = $1 AND f.followed_id = c.member_id
        OFFSET 0
    ) c
    ORDER BY c.is_findable DESC, c.score DESC, c.active_on DESC NULLS LAST, c.member_id
    OFFSET $19 LIMIT $20
) r
LEFT JOIN feed.listed_members m ON m.id = r.member_id AND r.is_findable
WHERE r.is_findable OR (r.found = 0 AND r.is_cut)
ORDER BY r.score DESC, r.active_on DESC NULLS LAST, r.member_id;

-- name: members_beyond
-- Beyond those that are ranked ($5): more members with a token of each of three groups ($2 to $4), whom the viewer $1 may
-- find, after the one of the id $6, in the order in which they joined.
SELECT m.id, m.username, m.display_name, m.department, m.avatar_url, m.bio, m.university
FROM (SELECT s.member_id FROM search.members s
      WHERE s.tokens && $2::integer[] AND s.tokens && coalesce($3::integer[], $2) AND s.tokens && coalesce($4::integer[], $2)
        AND ($6::uuid IS NULL OR s.member_id > $6) AND s.member_id <> ALL ($5::uuid[])
      OFFSET 0) s
CROSS JOIN LATERAL (SELECT f.* FROM feed.findable_members($1) f WHERE f.id = s.member_id OFFSET 0) m
ORDER BY m.id OFFSET $7 LIMIT $8;

-- name: standing_of_members
-- What is kept of members, whatever is typed: the step of fame, the day of the latest public post, and its points.
SELECT s.member_id, s.fame, s.active_on, search.activity(s.active_on) AS activity
FROM search.members s WHERE s.member_id = ANY ($1::uuid[]);

-- name: indexes_read
-- How often this transaction has looked into each index; not into PostgreSQL's own.
SELECT i.indexrelid::regclass::text AS name, pg_stat_get_xact_numscans(i.indexrelid) AS scans
FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
WHERE pg_stat_get_xact_numscans(i.indexrelid) > 0 AND t.relnamespace::regnamespace::text !~ '^pg_'
ORDER BY scans DESC, name;

-- name: index_activity
-- Of the next $2 members after $1, note the day of the latest public post, if none that is as late is known. Returns the
-- last of them, and null at the end.
WITH looked_at AS MATERIALIZED (
    SELECT s.member_id, search.active_on(s.member_id) AS day
    FROM search.members s WHERE $1::uuid IS NULL OR s.member_id > $1 ORDER BY s.member_id LIMIT $2
), noted AS (
    UPDATE search.members s SET active_on = l.day
    FROM looked_at l WHERE s.member_id = l.member_id AND (s.active_on IS NULL OR s.active_on < l.day)
      AND l.day IS NOT NULL
)
SELECT l.member_id FROM looked_at l ORDER BY l.member_id DESC LIMIT 1;
