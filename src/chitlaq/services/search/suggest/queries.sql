-- name: own_suggestions
-- Groups that the viewer $1 takes part in with a word that begins with the folded text $2 (escaped for LIKE), and
-- searches of theirs that begin so, the latest $3 of each. Indexes: participants_by_account, history_by_account.
(SELECT g.id, g.name AS text
 FROM (SELECT n.* FROM websocket.named_groups n WHERE n.account_id = $1 ORDER BY n.last_at DESC LIMIT 100) g
 WHERE ' ' || search.folded(g.name) LIKE '% ' || $2 || '%'
 ORDER BY g.last_at DESC LIMIT $3)
UNION ALL
(SELECT NULL, h.text
 FROM search.history h
 WHERE h.account_id = $1 AND h.folded LIKE $2 || '%'
 ORDER BY h.id DESC LIMIT $3);
