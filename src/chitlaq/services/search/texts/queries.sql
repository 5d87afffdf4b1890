-- name: word_forms (prepared)
-- What else each of these folded words is found by, and whether it is one that nearly every text has.
SELECT w, search.forms(w), search.is_stop_word(w) FROM unnest((SELECT $1::text[])) w;

-- name: members_named (prepared)
-- Ids of members by username; of the viewer $2 in any case. Index: members' unique index.
SELECT m.username, m.id FROM feed.listed_members m WHERE m.username = ANY ((SELECT $1::text[])::text[]) OR m.id = $2;
