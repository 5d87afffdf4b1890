-- name: vote
-- Vote in the poll of a post that the member may read, once, while it goes on: what the poll asks for, what the member
-- had voted before, and whether this vote is counted. The lock keeps the poll from being deleted meanwhile.
WITH poll AS MATERIALIZED (
    SELECT q.post_id, cardinality(q.options) AS options, q.is_multiple, q.expires_at > now() AS is_open,
           p.author_id = $2 AS is_own
    FROM feed.polls q CROSS JOIN LATERAL feed.permitted_posts($2) p
    WHERE q.post_id = $1 AND p.id = q.post_id
    FOR KEY SHARE OF q
), new AS (
    INSERT INTO feed.poll_votes (post_id, member_id, choices)
    SELECT post_id, $2, $3::smallint[] FROM poll
    WHERE is_open AND NOT is_own AND options > ALL ($3::smallint[]) AND (is_multiple OR cardinality($3::smallint[]) = 1)
    ON CONFLICT DO NOTHING
    RETURNING post_id
), counted AS (
    UPDATE feed.polls q
    SET voters = q.voters + 1, votes = feed.added_votes(q.votes, $3::smallint[], 1)
    FROM new WHERE q.post_id = new.post_id
)
SELECT poll.options, poll.is_multiple, poll.is_open, poll.is_own, EXISTS (SELECT FROM new) AS is_counted,
       (SELECT v.choices FROM feed.poll_votes v WHERE v.post_id = $1 AND v.member_id = $2) AS voted
FROM poll;
