-- name: tags_beginning (prepared)
-- Tags that begin with a folded text, and of which the viewer may see posts; after $6, which had $7 uses (null: from the
-- first). Index: tags_by_beginning.
SELECT t.tag, t.spelling, t.posts, t.uses FROM feed.tags_beginning($1, $2, $3, $4, $5, $6, $7) t;
