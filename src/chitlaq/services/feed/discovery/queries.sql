-- name: is_ranking_due
-- Whether the last ranking is old. Asked when others are locked out: what they made until then is seen.
SELECT NOT EXISTS (SELECT FROM feed.rankings WHERE made_at > now() - make_interval(secs => $1));

-- name: keep_to_one_core
-- Until the transaction ends, let no statement take other cores: those are for members' requests.
SET LOCAL max_parallel_workers_per_gather = 0;

-- name: id_days_ago
-- An id of that time. As a parameter of the next statement, it tells PostgreSQL how few posts are newer.
SELECT uuidv7(make_interval(days => -$1::integer));

-- name: rank_posts
-- Rank the public posts of $1 days by the attention of others than their authors (docs/feed.md#explore): of accounts
-- older than $2 days, $3 of them at least; what one of them gives to an author is shared by that author's posts.
-- Each author has $4 posts at most, of $5 in all. Indexes: posts_public, then by each post.
--
-- Counters choose 20 posts of each author and 5,000 in all that are looked at closely; what counts is counted there.
WITH recent AS (
    SELECT p.id, p.author_id, p.created_at,
           log(1 + p.likes_count + 2 * p.replies_count + 2 * p.reposts_count) / log(2)
               - extract(epoch FROM now() - p.created_at)::float8 / 43200 AS score
    FROM feed.posts p JOIN feed.members a ON a.id = p.author_id
    WHERE p.visibility = 'public' AND p.reply_to IS NULL AND p.deleted_at IS NULL
      AND p.likes_count + p.replies_count + p.reposts_count >= $3
      AND p.id > (SELECT uuidv7(make_interval(days => -$1::integer))) AND NOT a.is_private AND a.hidden_at IS NULL
), candidates AS MATERIALIZED (
    SELECT id, author_id, created_at
    FROM (SELECT *, row_number() OVER (PARTITION BY author_id ORDER BY score DESC, id DESC) AS number FROM recent) r
    WHERE number <= 20
    ORDER BY score DESC, id DESC
    LIMIT 5000
), attention AS (
    SELECT c.id, c.author_id, e.member_id, max(e.weight) AS weight
    FROM candidates c
    CROSS JOIN LATERAL (
        SELECT l.member_id, 1::float8 FROM feed.likes l WHERE l.post_id = c.id
        UNION ALL
        SELECT s.member_id, 2 FROM feed.reposts s WHERE s.post_id = c.id
        UNION ALL
        SELECT r.author_id, 2 FROM feed.posts r
        WHERE r.reply_to = c.id AND r.visibility = 'public' AND r.deleted_at IS NULL
    ) AS e (member_id, weight)
    JOIN feed.members m ON m.id = e.member_id
    WHERE e.member_id <> c.author_id AND m.hidden_at IS NULL AND m.created_at < now() - make_interval(days => $2)
    GROUP BY c.id, c.author_id, e.member_id
), shared AS (
    SELECT id, weight / count(*) OVER (PARTITION BY author_id, member_id) AS weight FROM attention
), scored AS (
    SELECT c.id, c.author_id,
           log(1 + sum(s.weight)) / log(2) - extract(epoch FROM now() - c.created_at)::float8 / 43200 AS score
    FROM shared s JOIN candidates c ON c.id = s.id
    GROUP BY c.id, c.author_id, c.created_at
    HAVING count(*) >= $3
), numbered AS (
    SELECT id, score, row_number() OVER (PARTITION BY author_id ORDER BY score DESC, id DESC) AS number FROM scored
), ranking AS (
    INSERT INTO feed.rankings DEFAULT VALUES RETURNING id
)
INSERT INTO feed.ranked_posts (ranking_id, rank, post_id)
SELECT ranking.id, row_number() OVER (ORDER BY n.score DESC, n.id DESC), n.id
FROM numbered n, ranking
WHERE n.number <= $4
ORDER BY n.score DESC, n.id DESC
LIMIT $5;

-- name: forget_rankings
-- Delete the rankings in which nobody reads on any more.
DELETE FROM feed.rankings
WHERE made_at < now() - make_interval(secs => $1) AND id < (SELECT max(id) FROM feed.rankings);

-- name: forget_trending
-- Make room for another ranking of tags.
DELETE FROM feed.trending_tags;

-- name: rank_tags
-- Rank the tags of public posts, for each university and for all together: those with more authors in the last day than
-- the seven days before let expect (docs/feed.md#trending), of accounts older than $1 days, $2 of them at least; $3 tags
-- for each. Older posts than $4 are not looked at. Index: post_tags_by_post.
WITH tagged AS (
    SELECT t.tag, t.spelling, p.author_id, a.university_id, p.created_at,
           floor(extract(epoch FROM now() - p.created_at) / 86400) AS days_ago
    FROM feed.post_tags t
    JOIN feed.posts p ON p.id = t.post_id
    JOIN feed.members a ON a.id = p.author_id
    WHERE t.post_id > $4 AND p.visibility = 'public' AND p.deleted_at IS NULL
      AND NOT a.is_private AND a.hidden_at IS NULL AND a.created_at < now() - make_interval(days => $1)
), counted AS (
    SELECT university_id, tag, count(DISTINCT author_id) FILTER (WHERE days_ago < 1) AS authors,
           count(*) FILTER (WHERE days_ago < 1) AS posts,
           count(DISTINCT (author_id, days_ago)) FILTER (WHERE days_ago BETWEEN 1 AND 7) / 7::float8 AS expected,
           mode() WITHIN GROUP (ORDER BY spelling) FILTER (WHERE days_ago < 1) AS spelling
    FROM tagged
    GROUP BY GROUPING SETS ((university_id, tag), (tag))
), ranked AS (
    SELECT university_id, tag, spelling, authors, posts, row_number() OVER (
               PARTITION BY university_id ORDER BY (authors - expected) / sqrt(expected + 1) DESC, authors DESC, tag
           ) AS rank
    FROM counted
    WHERE authors >= $2 AND authors > expected
)
INSERT INTO feed.trending_tags (university_id, rank, tag, spelling, authors, posts)
SELECT university_id, rank, tag, spelling, authors, posts FROM ranked WHERE rank <= $3;

-- name: ranked_posts (prepared)
-- What the viewer may read and does not mute of a ranking, after a rank: of the ranking $2, or of the latest if that is
-- gone. Always one row, with the ranking's id and without a post if there is none. Index: ranked_posts' primary key.
WITH ranking AS (
    SELECT coalesce((SELECT id FROM feed.rankings WHERE id = $2), (SELECT max(id) FROM feed.rankings), 0) AS id
), chosen AS MATERIALIZED (
    SELECT r.rank, r.post_id
    FROM feed.ranked_posts r
    JOIN feed.permitted_posts($1) p ON p.id = r.post_id
    WHERE r.ranking_id = (SELECT id FROM ranking) AND r.rank > $3 AND p.visibility = 'public'
      AND NOT EXISTS (SELECT FROM feed.mutes_against($1, p.author_id, p.id, p.id))
    ORDER BY r.rank
    LIMIT $4
)
SELECT ranking.id AS ranking_id, c.rank, p.id, p.version, p.author_id, p.author_version, p.quote_of, p.has_poll, p.likes,
       p.replies, p.reposts, p.liked, p.reposted, p.bookmarked
FROM ranking
LEFT JOIN (chosen c JOIN feed.readable_posts($1) p ON p.id = c.post_id) ON true
ORDER BY c.rank;

-- name: latest_posts (prepared)
-- What the viewer may read and does not mute of the $4 public posts before a post, newest first, but for those of a
-- ranking, and for all but the $5 newest of each author. Always one row, with how many posts were looked at and the
-- oldest of them, and without a post if there is none. Index: posts_public.
WITH latest AS MATERIALIZED (
    SELECT id, author_id FROM feed.posts
    WHERE visibility = 'public' AND reply_to IS NULL AND deleted_at IS NULL AND ($3::uuid IS NULL OR id < $3)
    ORDER BY id DESC
    LIMIT $4
), chosen AS MATERIALIZED (
    SELECT n.id
    FROM (SELECT id, author_id, row_number() OVER (PARTITION BY author_id ORDER BY id DESC) AS number FROM latest) n
    JOIN feed.permitted_posts($1) p ON p.id = n.id
    WHERE n.number <= $5
      AND NOT EXISTS (SELECT FROM feed.ranked_posts r WHERE r.post_id = n.id AND r.ranking_id = $2)
      AND NOT EXISTS (SELECT FROM feed.mutes_against($1, p.author_id, p.id, p.id))
    ORDER BY n.id DESC
    LIMIT $6
)
SELECT w.looked_at, w.oldest, p.id, p.version, p.author_id, p.author_version, p.quote_of, p.has_poll, p.likes, p.replies,
       p.reposts, p.liked, p.reposted, p.bookmarked
FROM (SELECT count(*) AS looked_at, (SELECT id FROM latest ORDER BY id LIMIT 1) AS oldest FROM latest) w
LEFT JOIN (chosen c JOIN feed.readable_posts($1) p ON p.id = c.id) ON true
ORDER BY p.id DESC;

-- name: tagged_posts (prepared)
-- What the viewer may read and does not mute of the $4 posts with a tag before a post, newest first. Always one row, with
-- how many posts were looked at and the oldest of them, and without a post if there is none. Index: post_tags' primary
-- key; were the tag compared by =, a common one would be looked for among the tags of all newer posts.
WITH latest AS MATERIALIZED (
    SELECT post_id AS id FROM feed.post_tags
    WHERE tag >= $2 AND tag <= $2 AND ($3::uuid IS NULL OR post_id < $3)
    ORDER BY tag DESC, post_id DESC
    LIMIT $4
), chosen AS MATERIALIZED (
    SELECT l.id
    FROM latest l
    JOIN feed.permitted_posts($1) p ON p.id = l.id
    WHERE p.visibility = 'public'
      AND NOT EXISTS (SELECT FROM feed.mutes_against($1, p.author_id, p.id, coalesce(p.root_id, p.id)))
    ORDER BY l.id DESC
    LIMIT $5
)
SELECT w.looked_at, w.oldest, p.id, p.version, p.author_id, p.author_version, p.quote_of, p.has_poll, p.likes, p.replies,
       p.reposts, p.liked, p.reposted, p.bookmarked
FROM (SELECT count(*) AS looked_at, (SELECT id FROM latest ORDER BY id LIMIT 1) AS oldest FROM latest) w
LEFT JOIN (chosen c JOIN feed.readable_posts($1) p ON p.id = c.id) ON true
ORDER BY p.id DESC;

-- name: trending_tags (prepared)
-- The tags that rise at the viewer's university, or everywhere for those not signed in, but for those that the viewer
-- mutes. Index: trending_tags' unique index.
SELECT t.tag, t.spelling, t.authors, t.posts
FROM (SELECT * FROM feed.trending_tags
      WHERE university_id = (SELECT m.university_id FROM feed.members m WHERE m.id = $1)
      UNION ALL
      SELECT * FROM feed.trending_tags WHERE university_id IS NULL AND $1 IS NULL) t
WHERE NOT EXISTS (SELECT FROM feed.muted_tags u
                  WHERE u.member_id = $1 AND u.tag = t.tag AND (u.until IS NULL OR u.until > now()))
ORDER BY t.rank
LIMIT $2;

-- name: posts_to_tag
-- Posts that may have tags, after one, locked so that no edit comes between. Index: posts' primary key.
SELECT id, text FROM feed.posts
WHERE ($1::uuid IS NULL OR id > $1) AND deleted_at IS NULL AND (text LIKE '%#%' OR text LIKE '%＃%')
ORDER BY id
LIMIT $2
FOR UPDATE;

-- name: retag_posts
-- Give the posts $1 the tags $3, spelled $4, of the posts $2, and no others; what is kept of changed ones is void.
WITH wanted AS MATERIALIZED (
    SELECT * FROM unnest($2::uuid[], $3::text[], $4::text[]) AS w (post_id, tag, spelling)
), gone AS (
    DELETE FROM feed.post_tags t
    WHERE t.post_id = ANY ($1::uuid[])
      AND NOT EXISTS (SELECT FROM wanted w WHERE (w.post_id, w.tag) = (t.post_id, t.tag))
    RETURNING t.post_id
), new AS (
    INSERT INTO feed.post_tags AS t (post_id, tag, spelling) TABLE wanted
    ON CONFLICT (tag, post_id) DO UPDATE SET spelling = excluded.spelling WHERE t.spelling <> excluded.spelling
    RETURNING t.post_id
)
UPDATE feed.posts SET version = version + 1
WHERE id IN (SELECT post_id FROM gone UNION ALL SELECT post_id FROM new);
