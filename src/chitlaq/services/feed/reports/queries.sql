-- name: report_member
-- Keep a report of a member; an account that has just gone reports nobody.
INSERT INTO feed.reports (reporter_id, kind, member_id, reason, note)
SELECT $1, 'member', m.id, $3, $4 FROM feed.members m
WHERE m.id = $2 AND EXISTS (SELECT FROM feed.members WHERE id = $1)
ON CONFLICT (reporter_id, member_id) WHERE kind = 'member'
DO UPDATE SET reason = excluded.reason, note = excluded.note, reported_at = now();

-- name: author_to_report
-- Whose post it is, if the member may read it.
SELECT author_id FROM feed.permitted_posts($1) WHERE id = $2;

-- name: report_post
-- Keep a report of a post that the member may read, with what it says.
INSERT INTO feed.reports (reporter_id, kind, member_id, post_id, content_warning, text, reason, note)
SELECT $1, 'post', q.author_id, q.id, q.content_warning, q.text, $3, $4
FROM feed.permitted_posts($1) p JOIN feed.posts q ON q.id = p.id
WHERE p.id = $2
ON CONFLICT (reporter_id, post_id) WHERE kind = 'post'
DO UPDATE SET reason = excluded.reason, note = excluded.note, reported_at = now(),
    content_warning = excluded.content_warning, text = excluded.text;
