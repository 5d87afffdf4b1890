-- name: tags_beginning (prepared)
-- Tags that begin with a folded text, and of which the viewer may see posts. Index: tags_by_beginning.
SELECT t.spelling, t.posts FROM feed.tags_beginning($1, $2, $3, $4, $5) t;
