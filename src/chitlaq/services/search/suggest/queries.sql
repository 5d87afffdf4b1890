-- name: suggested_beside (prepared)
-- What the folded text $2 may be the beginning of, besides members ($3: escaped for LIKE), at most $4 of each kind: tags
-- that the viewer $1 may see posts of, counted up to $5; groups that they take part in; the latest of their searches.
SELECT 'tag' AS kind, NULL::uuid AS id, t.spelling AS text, t.posts
FROM feed.tags_beginning($1, $2, $5, 0, $4, NULL, NULL) t
UNION ALL
SELECT CASE WHEN s.id IS NULL THEN 'search' ELSE 'group' END, s.id, s.text, NULL
FROM search.own_suggestions($1, $3, $4) s;
