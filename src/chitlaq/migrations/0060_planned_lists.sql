-- The posts of a member, and who follows whom, planned once: each page was planned anew, for more than it took to run. A
-- general plan is good for few rows and for many, because a page begins at one entry of an index and goes on from there:
-- hence a bound in each case, of all bits for none, which that plan can look up.

-- A member's posts that a viewer may read, newest first, before the post `older_than`.
CREATE FUNCTION feed.posts_of_member(
    viewer uuid, author uuid, older_than uuid, skipped bigint, wanted bigint, without_replies boolean, only_media boolean
)
RETURNS TABLE (
    id uuid, version integer, author_id uuid, author_version integer, quote_of uuid, has_poll boolean,
    likes integer, replies integer, reposts integer, liked boolean, reposted boolean, bookmarked boolean
)
LANGUAGE plpgsql STABLE ROWS 20 SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    older_than := coalesce(older_than, 'ffffffff-ffff-ffff-ffff-ffffffffffff');
    IF only_media THEN  -- Index: posts_with_media.
        RETURN QUERY
        SELECT p.id, p.version, p.author_id, p.author_version, p.quote_of, p.has_poll, p.likes, p.replies, p.reposts,
               p.liked, p.reposted, p.bookmarked
        FROM feed.readable_posts(viewer) p
        WHERE p.author_id = author AND p.id < older_than AND (NOT without_replies OR p.reply_to IS NULL) AND p.has_media
        ORDER BY p.id DESC
        OFFSET skipped LIMIT wanted;
    ELSE  -- Index: posts_by_author.
        RETURN QUERY
        SELECT p.id, p.version, p.author_id, p.author_version, p.quote_of, p.has_poll, p.likes, p.replies, p.reposts,
               p.liked, p.reposted, p.bookmarked
        FROM feed.readable_posts(viewer) p
        WHERE p.author_id = author AND p.id < older_than AND (NOT without_replies OR p.reply_to IS NULL)
        ORDER BY p.id DESC
        OFFSET skipped LIMIT wanted;
    END IF;
END
$$;

-- A member's followers as a viewer sees them, by id, after the member `last_seen`. Index: follows_by_followed.
CREATE FUNCTION feed.followers_of(viewer uuid, member uuid, last_seen uuid, skipped bigint, wanted bigint)
RETURNS TABLE (id uuid, username text, display_name text, department text, university text, avatar_url text)
LANGUAGE plpgsql STABLE ROWS 20 SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    RETURN QUERY
    SELECT v.id, v.username, v.display_name, v.department, v.university, v.avatar_url
    FROM feed.follows f
    JOIN feed.visible_members(viewer) v ON v.id = f.follower_id
    WHERE f.followed_id = member
      AND f.follower_id > coalesce(last_seen, '00000000-0000-0000-0000-000000000000')
    ORDER BY f.follower_id
    OFFSET skipped LIMIT wanted;
END
$$;

-- Whom a member follows, likewise. Index: follows' primary key.
CREATE FUNCTION feed.followed_by(viewer uuid, member uuid, last_seen uuid, skipped bigint, wanted bigint)
RETURNS TABLE (id uuid, username text, display_name text, department text, university text, avatar_url text)
LANGUAGE plpgsql STABLE ROWS 20 SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    RETURN QUERY
    SELECT v.id, v.username, v.display_name, v.department, v.university, v.avatar_url
    FROM feed.follows f
    JOIN feed.visible_members(viewer) v ON v.id = f.followed_id
    WHERE f.follower_id = member
      AND f.followed_id > coalesce(last_seen, '00000000-0000-0000-0000-000000000000')
    ORDER BY f.followed_id
    OFFSET skipped LIMIT wanted;
END
$$;
