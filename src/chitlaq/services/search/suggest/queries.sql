-- name: own_suggestions (prepared)
-- Groups that the viewer $1 takes part in with a word that begins with the folded text $2 (escaped for LIKE), and
-- searches of theirs that begin so, the latest $3 of each.
SELECT s.id, s.text FROM search.own_suggestions($1, $2, $3) s;
