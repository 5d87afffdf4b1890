-- name: members_containing
-- Members whose name or username contains the text, ignoring accents and case, best match first.
-- $2 is escaped for LIKE, $3 is the text itself. Index: members_by_search_text (trigrams).
SELECT m.id, m.username, m.display_name, m.department, m.avatar_url, m.bio, m.university
FROM feed.findable_members($1) m
WHERE m.search_text LIKE '%' || feed.folded($2) || '%'
ORDER BY m.username = feed.folded($3) DESC,
         m.search_text LIKE feed.folded($2) || '%' DESC,
         m.followers_count DESC,
         m.id
OFFSET $4 LIMIT $5;

-- name: members_beginning
-- For one or two letters, which have no trigram: members whose username begins with them.
-- Index: members_by_username_prefix.
SELECT m.id, m.username, m.display_name, m.department, m.avatar_url, m.bio, m.university
FROM feed.findable_members($1) m
WHERE m.username LIKE lower($2) || '%'
ORDER BY m.username = lower($3) DESC, m.followers_count DESC, m.id
OFFSET $4 LIMIT $5;
