-- name: typing_audience
-- Who sees that a member ($1) is typing in a conversation: those who show it themselves.
SELECT s.username,
       ARRAY(SELECT o.account_id FROM websocket.participants o
             LEFT JOIN websocket.privacy y ON y.account_id = o.account_id
             WHERE o.conversation_id = $2 AND o.account_id <> $1 AND o.state = 'joined'
               AND coalesce(y.shares_presence, true)
               AND NOT EXISTS (SELECT FROM websocket.blocks_between(o.account_id, $1))) AS audience
FROM websocket.participants p
JOIN feed.member_cards s ON s.id = p.account_id
LEFT JOIN websocket.privacy y ON y.account_id = p.account_id
WHERE p.conversation_id = $2 AND p.account_id = $1 AND p.state = 'joined' AND coalesce(y.shares_presence, true);

-- name: watchable
-- Of these usernames ($2), whose presence a member ($1) may see: they share a conversation, and both show it.
SELECT s.id, s.username
FROM feed.member_cards s
LEFT JOIN websocket.privacy y ON y.account_id = s.id
LEFT JOIN websocket.privacy o ON o.account_id = $1
WHERE s.username = ANY ($2::text[]) AND s.id <> $1
  AND coalesce(y.shares_presence, true) AND coalesce(o.shares_presence, true)
  AND NOT EXISTS (SELECT FROM websocket.blocks_between(s.id, $1))
  AND EXISTS (SELECT FROM websocket.participants a
              JOIN websocket.participants b ON b.conversation_id = a.conversation_id
              WHERE a.account_id = $1 AND a.state = 'joined' AND b.account_id = s.id AND b.state = 'joined');
