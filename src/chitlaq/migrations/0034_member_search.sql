-- Members are found as people remember them (docs/search.md): by words that are folded, mistyped, begun, or in another
-- alphabet. Each member has an array of tokens with one GIN index; each distinct word is kept once, with the keys by which
-- what is like it is found. Both change in the transaction that changes the member.

CREATE SCHEMA search;
GRANT USAGE ON SCHEMA search TO chitlaq_search;
ALTER DEFAULT PRIVILEGES IN SCHEMA search GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO chitlaq_search;

-- What spellings of a text have in common: no case, no accents, no marks that show nothing, plain letters where
-- Unicode knows no decomposition. `core/text/folding.py` folds what is typed in the same way; a test compares them.
CREATE FUNCTION search.folded(value text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN octet_length(value) = char_length(value) THEN
    -- Plain letters only: the same, in a twentieth of the time.
    translate(lower(value COLLATE pg_c_utf8), U&'''\0060', '')
ELSE normalize(
    translate(
        replace(replace(replace(
            regexp_replace(
                normalize(casefold(normalize(value, NFKC) COLLATE pg_unicode_fast), NFKD) COLLATE pg_c_utf8,
                U&'[\0300-\036F\0591-\05BD\05BF\05C1\05C2\05C4\05C5\05C7\0610-\061A\0640\064B-\065F\0670\06D6-\06DC'
                '\00AD\034F\200B-\200F\202A-\202E\2060-\2069\FE00-\FE0F\FEFF'
                '''\2018\2019\02BB\02BC\02B9\0060\00B4]',
                '', 'g'
            ),
            U&'\00E6', 'ae'), U&'\0153', 'oe'), U&'\00FE', 'th'
        ),
        -- dotless i, o with stroke, l with stroke, d with stroke, eth, h and t with stroke, eng, schwa
        U&'\0131\00F8\0142\0111\00F0\0127\0167\014B\0259', 'iolddhtne'
    ),
    NFC
) END;

-- The words of a folded text. Scripts that set no spaces between words have one for each place at which somebody may
-- begin to read: their runs, and the ends of runs. A word with a hyphen is also one without. The number at the end of a
-- word is one of its own.
CREATE FUNCTION search.split(value text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    word constant text COLLATE pg_c_utf8 :=
        '[\u0E00-\u0FFF\u1000-\u109F\u1780-\u17FF\u3040-\u30FF\u3400-\u4DBF\u4E00-\u9FFF\uAC00-\uD7AF]+'
        '|[^[:space:][:punct:][:cntrl:]'
        '\u0E00-\u0FFF\u1000-\u109F\u1780-\u17FF\u3040-\u30FF\u3400-\u4DBF\u4E00-\u9FFF\uAC00-\uD7AF]+';
    words text[] := ARRAY(SELECT left(r[1], 40) FROM regexp_matches(value COLLATE pg_c_utf8, word, 'g') r);
BEGIN
    IF value ~ '[0-9]' THEN
        words := ARRAY(
            SELECT left(part, 40)
            FROM regexp_matches(value COLLATE pg_c_utf8, word, 'g') r
            CROSS JOIN LATERAL unnest(coalesce(regexp_match(r[1], '^([^0-9]{2,})([0-9]+)$'), r)) part
        );
    END IF;
    IF value ~ '[-\u2010-\u2015]' THEN
        words := words || ARRAY(
            SELECT left(r[1], 40)
            FROM regexp_matches(regexp_replace(value, '[-\u2010-\u2015]', '', 'g') COLLATE pg_c_utf8, word, 'g') r
        );
    END IF;
    IF value ~ '[\u0E00-\u0FFF\u1000-\u109F\u1780-\u17FF\u3040-\u30FF\u3400-\u4DBF\u4E00-\u9FFF\uAC00-\uD7AF]' THEN
        words := words || ARRAY(
            SELECT substr(w, n) FROM unnest(words) w CROSS JOIN LATERAL generate_series(2, length(w)) n
            WHERE w ~ '^[\u0E00-\u0FFF\u1000-\u109F\u1780-\u17FF\u3040-\u30FF\u3400-\u4DBF\u4E00-\u9FFF\uAC00-\uD7AF]'
        );
    END IF;
    RETURN words;
END
$$;

-- A Greek or Cyrillic word in Latin letters, as passports write it; other words are as they were.
CREATE FUNCTION search.romanized(word text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN word !~ '[\u0370-\u03FF\u0400-\u052F]' THEN word ELSE translate(
    replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(
    replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(word,
        'щ', 'shch'), 'ш', 'sh'), 'ч', 'ch'), 'ц', 'ts'), 'ж', 'zh'), 'х', 'kh'), 'ю', 'yu'), 'я', 'ya'), 'є', 'ye'),
        'ђ', 'dj'), 'љ', 'lj'), 'њ', 'nj'), 'џ', 'dz'), 'ου', 'ou'), 'αυ', 'av'), 'ευ', 'ev'), 'μπ', 'b'), 'γγ', 'ng'),
        'γκ', 'gk'), 'θ', 'th'), 'χ', 'ch'), 'ψ', 'ps'), 'φ', 'f'), 'ξ', 'x'),
    'абвгдезиклмнопрстуфыэіґјћўөүәңқғұһαβγδεζηικλμνοπρστυωъь',
    'abvgdeziklmnoprstufyeigjcuouankguhavgdeziiklmnoprstyo'
) END;

-- What a Latin word has in common with others that sound alike: Müller, Mueller and Muler; Dmitriy, Dmitrij and Dmitri.
CREATE FUNCTION search.sound(word text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN regexp_replace(
    replace(replace(replace(replace(replace(replace(replace(
    translate(
    replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(
    replace(replace(word,
        'shch', 'S'), 'sch', 'S'), 'sh', 'S'), 'tch', 'C'), 'ch', 'C'), 'cz', 'C'), 'ts', 'T'), 'tz', 'T'), 'zh', 'Z'),
        'ph', 'f'), 'kh', 'h'), 'th', 't'), 'dh', 'd'), 'gh', 'g'), 'ck', 'k'), 'x', 'ks'),
    'qcwyjz', 'kkviis'),
        'ou', 'u'), 'oo', 'u'), 'ue', 'u'), 'oe', 'o'), 'ae', 'a'), 'ie', 'i'), 'ee', 'i'),
    '(.)\1+', '\1', 'g'
);

CREATE FUNCTION search.hashed(token text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (crc32(convert_to(token, 'UTF8')) - 2147483648)::integer;

-- The keys of a word: it and what is left of it without any one letter, or two, of its beginnings. Two words that
-- are an edit apart share a key (symmetric deletion, as in SymSpell). Words of three to five letters are compared as
-- a whole, longer ones by their first five, six and seven letters, so that what is mistyped is also found half typed.
CREATE FUNCTION search.keys_of(word text) RETURNS integer[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    size constant integer := length(word);
    parts text[] := '{}';
    part text;
    rest text;
BEGIN
    IF word ~ '[0-9]' THEN
        RETURN NULL;
    END IF;
    IF size BETWEEN 3 AND 5 THEN
        parts := parts || ('4' || word);
        FOR i IN 1..size LOOP
            parts := parts || ('4' || left(word, i - 1) || substr(word, i + 1));
        END LOOP;
    END IF;
    FOR n IN 5..least(7, size + 1) LOOP
        part := left(word, n);
        parts := parts || (n || part);
        FOR i IN 1..length(part) LOOP
            parts := parts || (n || left(part, i - 1) || substr(part, i + 1));
        END LOOP;
    END LOOP;
    IF size >= 7 THEN
        part := left(word, 7);
        parts := parts || ('8' || part);
        FOR i IN 1..7 LOOP
            rest := left(part, i - 1) || substr(part, i + 1);
            parts := parts || ('8' || rest);
            FOR j IN i..6 LOOP
                parts := parts || ('8' || left(rest, j - 1) || substr(rest, j + 1));
            END LOOP;
        END LOOP;
    END IF;
    RETURN ARRAY(SELECT DISTINCT (crc32(convert_to(t, 'UTF8')) - 2147483648)::integer FROM unnest(parts) t);
END
$$;

-- How well known a member is: 0, and 1 to 4 from 16, 128, 1024 and 8192 followers.
CREATE FUNCTION search.fame(followers integer) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN width_bucket(followers, ARRAY[16, 128, 1024, 8192]);

CREATE FUNCTION search.named(username text, display_name text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    words text[] := search.split(search.folded(display_name || ' ' || username));
    word text;
BEGIN
    IF display_name ~ '[\u0370-\u03FF\u0400-\u052F]' THEN
        FOREACH word IN ARRAY words LOOP
            words := words || search.romanized(word);
        END LOOP;
    END IF;
    RETURN words;
END
$$;

-- What a member is called, folded, with a space around each word; also as one word.
CREATE FUNCTION search.called(words text[], names text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ' ' || array_to_string(words, ' ') || ' ' || CASE WHEN cardinality(names) > 1
    THEN array_to_string(names, '') || ' ' || array_to_string(names[2:], '') || ' ' ELSE '' END;

-- A token that only members of this fame or more have, by the same token of all: exclusive or with one of these numbers.
CREATE FUNCTION search.steps() RETURNS integer[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY[0, 1664525, 1013904223, 1597334677, 974711];

-- The tokens of a member. Each begins with the kind of what it says: n a word of the name, b its beginnings, s its
-- sound, d a word of department or bio, i the initials. All are there once more for each step of fame, so that the best
-- known of many are found without looking at all; and the shortest beginnings combined with the department (the numbers
-- of both, by exclusive or), so that of many those near the viewer are found.
CREATE FUNCTION search.tokens_of(named text[], names text[], place text, bio text, nearby integer, fame integer)
RETURNS integer[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    said text[] := '{}';
    near text[] := '{}';
    initials text := 'i';
    word text;
BEGIN
    FOREACH word IN ARRAY ARRAY(SELECT DISTINCT unnest(named)) LOOP
        said := said || ('n' || word);
        said := said || ('s' || search.sound(word));
        FOR n IN 1..length(word) LOOP
            said := said || ('b' || left(word, n));
        END LOOP;
        FOR n IN 1..least(3, length(word)) LOOP
            near := near || ('b' || left(word, n));
        END LOOP;
    END LOOP;
    FOREACH word IN ARRAY search.split(place || ' ' || search.folded(bio)) LOOP
        said := said || ('d' || word);
    END LOOP;
    FOREACH word IN ARRAY names LOOP
        initials := initials || left(search.romanized(word), 1);
    END LOOP;
    said := said || initials;
    -- Written without its spaces: as a whole, and without the first name.
    IF cardinality(names) > 1 THEN
        FOREACH word IN ARRAY ARRAY[array_to_string(names, ''), array_to_string(names[2:], '')] LOOP
            said := said || ('n' || word);
            said := said || ('b' || word);
        END LOOP;
    END IF;
    RETURN ARRAY(
        SELECT (crc32(convert_to(t, 'UTF8')) - 2147483648)::integer # step
        FROM unnest(said) t CROSS JOIN unnest((search.steps())[:fame + 1]) step
        UNION
        SELECT (crc32(convert_to(t, 'UTF8')) - 2147483648)::integer # nearby FROM unnest(near) t
    );
END
$$;

CREATE TABLE search.members (
    member_id uuid PRIMARY KEY REFERENCES feed.members ON DELETE CASCADE,
    tokens integer[] NOT NULL,
    called text COLLATE "C" NOT NULL,
    -- The words of the whole name, sorted, and the username; hashed.
    whole integer NOT NULL,
    username integer NOT NULL,
    -- By which closeness is judged: the university, and with the department.
    university integer NOT NULL,
    place integer NOT NULL,
    fame smallint NOT NULL,
    -- Whether every member may find this one, if neither has blocked the other.
    is_open boolean NOT NULL
);

-- Each word that any member has, and about how many have it: one member in 32 is counted, as 32.
CREATE TABLE search.words (
    word text COLLATE "C" PRIMARY KEY,
    uses integer NOT NULL DEFAULT 0 CHECK (uses >= 0),
    keys integer[]
);

-- What is stored of each member. OFFSET 0 lets each text be folded once.
CREATE VIEW search.indexed AS
SELECT m.id AS member_id,
       search.tokens_of(f.named, f.names, f.department, m.bio, p.place, p.fame) AS tokens,
       search.called(f.named, f.names) AS called,
       search.hashed('w' || array_to_string(array_sort(f.names), ' ')) AS whole,
       search.hashed('a' || m.username) AS username,
       search.hashed('u' || m.university_id) AS university,
       p.place, p.fame::smallint AS fame,
       m.hidden_at IS NULL AND m.may_find = 'everyone' AS is_open
FROM feed.members m
CROSS JOIN LATERAL (
    SELECT search.named(m.username, m.display_name) AS named, search.split(search.folded(m.display_name)) AS names,
           search.folded(m.department) AS department OFFSET 0
) f
CROSS JOIN LATERAL (
    SELECT search.hashed('p' || m.university_id || f.department) AS place, search.fame(m.followers_count) AS fame OFFSET 0
) p;

CREATE FUNCTION search.index_members(ids uuid[]) RETURNS void
LANGUAGE sql
AS $$
    INSERT INTO search.members AS s
    SELECT i.* FROM search.indexed i WHERE i.member_id = ANY (ids)
    ON CONFLICT (member_id) DO UPDATE
    SET tokens = excluded.tokens, called = excluded.called, whole = excluded.whole, username = excluded.username,
        university = excluded.university, place = excluded.place, fame = excluded.fame, is_open = excluded.is_open
$$;

-- Words that a member begins to have. A key-share lock keeps a word that is there from being deleted meanwhile, also one
-- that another transaction has inserted just now. Whatever locks words does so in their order, so nobody waits in a circle.
CREATE FUNCTION search.add_words(words text[], is_counted boolean) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    wanted constant text[] := ARRAY(SELECT DISTINCT unnest(words));
    locked integer;
BEGIN
    LOOP
        PERFORM FROM search.words w WHERE w.word = ANY (wanted) ORDER BY w.word FOR KEY SHARE;
        GET DIAGNOSTICS locked = ROW_COUNT;
        EXIT WHEN locked = cardinality(wanted);
        INSERT INTO search.words (word, keys)
        SELECT u.word, search.keys_of(u.word)
        FROM (SELECT unnest(wanted) COLLATE "C" AS word) u
        WHERE NOT EXISTS (SELECT FROM search.words w WHERE w.word = u.word)
        ORDER BY u.word
        ON CONFLICT DO NOTHING;
    END LOOP;
    IF is_counted THEN
        PERFORM FROM search.words w WHERE w.word = ANY (words) ORDER BY w.word FOR NO KEY UPDATE;
        UPDATE search.words w SET uses = w.uses + 32 WHERE w.word = ANY (words);
    END IF;
END
$$;

-- Words that a member has no longer: one that nobody has is deleted. It is locked before it is looked for, since
-- somebody may be about to have it. One stays if another token has the same hash, which does no harm: `recount` removes it.
CREATE FUNCTION search.remove_words(words text[], is_counted boolean) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF is_counted THEN
        PERFORM FROM search.words w WHERE w.word = ANY (words) ORDER BY w.word FOR NO KEY UPDATE;
        UPDATE search.words w SET uses = greatest(0, w.uses - 32) WHERE w.word = ANY (words);
    END IF;
    PERFORM FROM search.words w WHERE w.word = ANY (words) AND w.uses < 320 ORDER BY w.word FOR UPDATE;
    DELETE FROM search.words w
    WHERE w.word = ANY (words) AND w.uses < 320
      AND NOT EXISTS (SELECT FROM search.members m
                      WHERE m.tokens && ARRAY[search.hashed('n' || w.word), search.hashed('d' || w.word)]);
END
$$;

CREATE FUNCTION search.words_of(m feed.members) RETURNS text[]
LANGUAGE sql IMMUTABLE
RETURN search.named(m.username, m.display_name)
    || search.split(search.folded(m.department || ' ' || m.bio));

CREATE FUNCTION search.is_counted(member uuid) RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN get_byte(uuid_send(member), 15) % 32 = 0;

-- In the transaction that changes a member, and as the owner: who changes members knows nothing of search.
CREATE FUNCTION search.follow_member() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    before text[] := '{}';
    since text[] := '{}';
BEGIN
    IF TG_OP <> 'DELETE' THEN
        PERFORM search.index_members(ARRAY[NEW.id]);
        since := search.words_of(NEW);
    END IF;
    IF TG_OP <> 'INSERT' THEN
        before := search.words_of(OLD);
    END IF;
    IF since <> before THEN
        PERFORM search.add_words(ARRAY(SELECT unnest(since) EXCEPT SELECT unnest(before)), search.is_counted(NEW.id))
        WHERE TG_OP <> 'DELETE';
        PERFORM search.remove_words(
            ARRAY(SELECT unnest(before) EXCEPT SELECT unnest(since)), search.is_counted(OLD.id)
        ) WHERE TG_OP <> 'INSERT';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER search_follows_new AFTER INSERT OR DELETE ON feed.members
FOR EACH ROW EXECUTE FUNCTION search.follow_member();
-- Followers are counted all the time; few of them make a step of fame.
CREATE TRIGGER search_follows_changed
AFTER UPDATE OF username, display_name, department, bio, university_id, followers_count, hidden_at, may_find
ON feed.members
FOR EACH ROW
WHEN ((OLD.username, OLD.display_name, OLD.department, OLD.bio, OLD.university_id, OLD.hidden_at IS NULL, OLD.may_find,
       width_bucket(OLD.followers_count, ARRAY[16, 128, 1024, 8192]))
      IS DISTINCT FROM
      (NEW.username, NEW.display_name, NEW.department, NEW.bio, NEW.university_id, NEW.hidden_at IS NULL, NEW.may_find,
       width_bucket(NEW.followers_count, ARRAY[16, 128, 1024, 8192])))
EXECUTE FUNCTION search.follow_member();

CREATE FUNCTION search.forget_words() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    TRUNCATE search.words;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION search.follow_member, search.forget_words FROM public;
CREATE TRIGGER search_follows_emptied AFTER TRUNCATE ON feed.members
FOR EACH STATEMENT EXECUTE FUNCTION search.forget_words();

-- It is no longer asked for; the column goes with a later version.
DROP INDEX feed.members_by_search_text;

-- Tags by their folded beginning. Each is kept once, with about how many posts have it: one in 16 is counted, as 16.
CREATE TABLE search.tags (
    tag text PRIMARY KEY,
    folded text COLLATE "C" NOT NULL,
    uses integer NOT NULL DEFAULT 0 CHECK (uses >= 0)
);
CREATE INDEX tags_by_beginning ON search.tags (folded);

-- In the transaction that changes a post's tags; locks are as those of words.
CREATE FUNCTION search.follow_tag() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    changed constant text := CASE WHEN TG_OP = 'INSERT' THEN NEW.tag ELSE OLD.tag END;
    post constant uuid := CASE WHEN TG_OP = 'INSERT' THEN NEW.post_id ELSE OLD.post_id END;
    is_counted constant boolean := get_byte(uuid_send(post), 15) % 16 = 0;
BEGIN
    IF TG_OP = 'INSERT' THEN
        LOOP
            PERFORM FROM search.tags t WHERE t.tag = changed FOR KEY SHARE;
            EXIT WHEN FOUND;
            INSERT INTO search.tags (tag, folded) VALUES (changed, search.folded(changed)) ON CONFLICT DO NOTHING;
        END LOOP;
        IF is_counted THEN
            UPDATE search.tags t SET uses = t.uses + 16 WHERE t.tag = changed;
        END IF;
    ELSE
        IF is_counted THEN
            UPDATE search.tags t SET uses = greatest(0, t.uses - 16) WHERE t.tag = changed;
        END IF;
        PERFORM FROM search.tags t WHERE t.tag = changed FOR UPDATE;
        DELETE FROM search.tags t
        WHERE t.tag = changed AND NOT EXISTS (SELECT FROM feed.post_tags p WHERE p.tag = changed);
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION search.follow_tag FROM public;
CREATE TRIGGER search_follows AFTER INSERT OR DELETE ON feed.post_tags
FOR EACH ROW EXECUTE FUNCTION search.follow_tag();

-- What feed publishes to search: tags that begin so and that the viewer may see posts of, the most used first; with how
-- many such posts there are, counted up to a bound, and with the spelling of the latest. Those that are offset are left out.
CREATE FUNCTION feed.tags_beginning(viewer uuid, beginning text, bound integer, skipped integer, wanted integer)
RETURNS TABLE (tag text, spelling text, posts integer)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    seen integer := 0;
BEGIN
    FOR tag IN
        SELECT t.tag FROM search.tags t
        WHERE t.folded >= beginning AND t.folded < beginning || U&'\+10FFFF'
        ORDER BY t.folded = beginning DESC, t.uses DESC, t.tag LIMIT skipped + 10 * wanted
    LOOP
        SELECT count(*), (array_agg(x.spelling))[1] INTO posts, spelling
        FROM (SELECT p.spelling
              FROM feed.post_tags p JOIN feed.permitted_posts(viewer) r ON r.id = p.post_id
              WHERE p.tag = tags_beginning.tag
              ORDER BY p.post_id DESC LIMIT bound) x;
        CONTINUE WHEN posts = 0;
        seen := seen + 1;
        CONTINUE WHEN seen <= skipped;
        RETURN NEXT;
        EXIT WHEN seen = skipped + wanted;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION feed.tags_beginning FROM public;
GRANT EXECUTE ON FUNCTION feed.tags_beginning TO chitlaq_search;

-- Groups that have a name, and who takes part in them, for suggestions.
CREATE VIEW websocket.named_groups AS
SELECT p.account_id, c.id, c.name, c.last_at
FROM websocket.participants p
JOIN websocket.conversations c ON c.id = p.conversation_id
WHERE c.kind = 'group' AND c.name IS NOT NULL AND p.state = 'joined';
GRANT USAGE ON SCHEMA websocket TO chitlaq_search;
GRANT SELECT ON websocket.named_groups TO chitlaq_search;

-- What members searched for, the latest of each text; and who does not want that to be kept.
CREATE TABLE search.history (
    account_id uuid NOT NULL REFERENCES auth.accounts ON DELETE CASCADE,
    folded text NOT NULL CHECK (char_length(folded) BETWEEN 1 AND 1000),
    text text NOT NULL CHECK (char_length(text) BETWEEN 1 AND 500),
    -- In the order in which they were searched for.
    id uuid NOT NULL DEFAULT uuidv7() UNIQUE,
    searched_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, folded)
);
CREATE INDEX history_by_account ON search.history (account_id, id DESC);
CREATE TABLE search.privacy (
    account_id uuid PRIMARY KEY REFERENCES auth.accounts ON DELETE CASCADE,
    keeps_history boolean NOT NULL DEFAULT true
);

-- search-service exports its part, and erases it, as the others do.
GRANT USAGE ON SCHEMA auth TO chitlaq_search;
GRANT EXECUTE ON FUNCTION auth.add_export_file, auth.complete_export_part, auth.complete_erasure_part TO chitlaq_search;
GRANT USAGE ON SCHEMA jobs TO chitlaq_search;
GRANT SELECT, INSERT, UPDATE, DELETE ON jobs.jobs TO chitlaq_search;
CREATE POLICY own_parts_of_search ON jobs.jobs TO chitlaq_search
USING (kind IN ('export_from_chitlaq_search', 'erase_from_chitlaq_search'));

-- How far `chitlaq search reindex` came: none is going on if there is no row.
CREATE TABLE search.reindexing (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    indexed_to uuid NOT NULL
);

-- Index the next members, and return how many; 0 at the end.
CREATE FUNCTION search.reindex_some(wanted integer) RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    ids constant uuid[] := ARRAY(
        SELECT m.id FROM feed.members m
        WHERE m.id > coalesce((SELECT r.indexed_to FROM search.reindexing r), '00000000-0000-0000-0000-000000000000')
        ORDER BY m.id LIMIT wanted
        FOR NO KEY UPDATE
    );
BEGIN
    IF cardinality(ids) = 0 THEN
        DELETE FROM search.reindexing;
        RETURN 0;
    END IF;
    PERFORM search.index_members(ids);
    PERFORM search.add_words(
        ARRAY(SELECT DISTINCT unnest(search.words_of(m)) FROM feed.members m WHERE m.id = ANY (ids)), false
    );
    INSERT INTO search.reindexing (indexed_to) VALUES (ids[cardinality(ids)])
    ON CONFLICT (is_only) DO UPDATE SET indexed_to = excluded.indexed_to;
    RETURN cardinality(ids);
END
$$;

-- Count words and tags, and remove those that nobody has; returns how many. Members are not changed meanwhile.
CREATE FUNCTION search.recount() RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    gone integer;
    tags_gone integer;
BEGIN
    LOCK TABLE feed.members, feed.post_tags IN SHARE MODE;
    CREATE TEMPORARY TABLE counted ON COMMIT DROP AS
    SELECT o.word, 32 * count(*) FILTER (WHERE search.is_counted(o.id)) AS uses
    FROM (SELECT DISTINCT m.id, unnest(search.words_of(m)) AS word FROM feed.members m) o GROUP BY o.word;
    DELETE FROM search.words w WHERE NOT EXISTS (SELECT FROM counted c WHERE c.word = w.word);
    GET DIAGNOSTICS gone = ROW_COUNT;
    UPDATE search.words w SET uses = c.uses FROM counted c WHERE c.word = w.word AND c.uses <> w.uses;
    CREATE TEMPORARY TABLE counted_tags ON COMMIT DROP AS
    SELECT p.tag, 16 * count(*) FILTER (WHERE get_byte(uuid_send(p.post_id), 15) % 16 = 0) AS uses
    FROM feed.post_tags p GROUP BY p.tag;
    DELETE FROM search.tags t WHERE NOT EXISTS (SELECT FROM counted_tags c WHERE c.tag = t.tag);
    GET DIAGNOSTICS tags_gone = ROW_COUNT;
    INSERT INTO search.tags AS t (tag, folded, uses)
    SELECT c.tag, search.folded(c.tag), c.uses FROM counted_tags c
    ON CONFLICT (tag) DO UPDATE SET uses = excluded.uses WHERE t.uses <> excluded.uses;
    RETURN gone + tags_gone;
END
$$;

-- Members with a token of each of three groups (the second and third are null if there is one): at most so many, the
-- best known first. If many have one, they are read by steps of fame, and if there are enough of them, also those whom
-- the viewer follows, and some of the same department.
-- Of those the name begins as one of the patterns says (null: any), `near` are the first group's shortest beginnings.
-- Who has a token of `first`, unless it is null, comes before all.
CREATE FUNCTION search.candidates(
    viewer uuid, first integer[], a integer[], b integer[], c integer[], are_many boolean, wanted integer,
    near integer[], begins_a text[], begins_b text[], begins_c text[]
) RETURNS SETOF search.members
LANGUAGE plpgsql STABLE ROWS 30 SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    found search.members[] := '{}';
    steps constant integer[] := search.steps();
    step integer;
    own_place integer;
BEGIN
    IF b IS NULL AND NOT are_many THEN
        RETURN QUERY
        SELECT s.* FROM search.members s WHERE s.tokens && a
        ORDER BY first IS NOT NULL AND s.tokens && first DESC, s.fame DESC, s.member_id LIMIT wanted;
        RETURN;
    ELSIF NOT are_many THEN
        RETURN QUERY
        SELECT s.* FROM search.members s WHERE s.tokens && a AND s.tokens && b AND s.tokens && c
        ORDER BY s.fame DESC, s.member_id LIMIT wanted;
        RETURN;
    END IF;
    IF first IS NOT NULL THEN
        found := ARRAY(SELECT s FROM search.members s WHERE s.tokens && first LIMIT wanted);
    END IF;
    FOR fame_from IN REVERSE 4..0 LOOP
        step := steps[fame_from + 1];
        found := found || ARRAY(
            SELECT s FROM search.members s
            WHERE s.tokens && ARRAY(SELECT t # step FROM unnest(a) t)
              AND s.tokens && ARRAY(SELECT t # step FROM unnest(coalesce(b, a)) t)
              AND s.tokens && ARRAY(SELECT t # step FROM unnest(coalesce(c, a)) t)
              AND s.fame = fame_from
              AND (first IS NULL OR NOT s.tokens && first)
            LIMIT wanted - cardinality(found)
        );
        EXIT WHEN cardinality(found) >= wanted;
    END LOOP;
    IF cardinality(found) < wanted THEN
        RETURN QUERY SELECT f.* FROM unnest(found) f;
        RETURN;
    END IF;
    SELECT s.place INTO own_place FROM search.members s WHERE s.member_id = viewer;
    RETURN QUERY
    SELECT DISTINCT ON (f.member_id) f.*
    FROM unnest(
        found
        || ARRAY(
            SELECT s FROM (SELECT p.followed_id FROM feed.follow_pairs p WHERE p.follower_id = viewer LIMIT 500) p
            JOIN search.members s ON s.member_id = p.followed_id
            WHERE s.called LIKE ANY (begins_a)
              AND (begins_b IS NULL OR s.called LIKE ANY (begins_b))
              AND (begins_c IS NULL OR s.called LIKE ANY (begins_c))
        )
        || ARRAY(
            SELECT s FROM search.members s
            WHERE s.tokens && ARRAY(SELECT t # own_place FROM unnest(near) t)
              AND s.called LIKE ANY (begins_a)
              AND (begins_b IS NULL OR s.called LIKE ANY (begins_b))
              AND (begins_c IS NULL OR s.called LIKE ANY (begins_c))
            LIMIT wanted / 2
        )
    ) f;
END
$$;

-- Whether somebody may find a member: for those who are not open to all.
CREATE FUNCTION search.may_find(viewer uuid, member uuid) RETURNS boolean
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM feed.findable_members(viewer) m WHERE m.id = member);
END
$$;

-- Index everything from nothing, without a trigger for each row and with indexes that are built at once. Nobody searches
-- or changes members meanwhile: for a new index, and for demo data.
CREATE FUNCTION search.index_all() RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    TRUNCATE search.members, search.words, search.tags;
    DROP INDEX IF EXISTS search.members_by_tokens, search.words_by_keys, search.words_by_part;
    INSERT INTO search.members SELECT i.* FROM search.indexed i;
    INSERT INTO search.words (word, uses, keys)
    SELECT w.word, w.uses, search.keys_of(w.word)
    FROM (SELECT o.word, 32 * count(*) FILTER (WHERE search.is_counted(o.id)) AS uses
          FROM (SELECT DISTINCT m.id, unnest(search.words_of(m)) AS word FROM feed.members m) o GROUP BY o.word) w;
    INSERT INTO search.tags (tag, folded, uses)
    SELECT p.tag, search.folded(p.tag), 16 * count(*) FILTER (WHERE get_byte(uuid_send(p.post_id), 15) % 16 = 0)
    FROM feed.post_tags p GROUP BY p.tag;
    CREATE INDEX members_by_tokens ON search.members USING gin (tokens) WITH (fastupdate = off);
    CREATE INDEX words_by_keys ON search.words USING gin (keys) WITH (fastupdate = off);
    CREATE INDEX words_by_part ON search.words USING gin (word public.gin_trgm_ops);
END
$$;
SELECT search.index_all();
