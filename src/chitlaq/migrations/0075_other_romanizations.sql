-- Cyrillic names are found as their own languages write them in Latin letters, not as passports do alone (docs/search.md).
-- Members are not written anew here: `chitlaq search reindex` does that for those who have such names.

-- As before, with four more letters, of Macedonian, Tajik, Tatar and Uzbek.
CREATE OR REPLACE FUNCTION search.romanized(word text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN word !~ '[\u0370-\u03FF\u0400-\u052F]' THEN word ELSE translate(
    replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(
    replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(word,
        'щ', 'shch'), 'ш', 'sh'), 'ч', 'ch'), 'ц', 'ts'), 'ж', 'zh'), 'х', 'kh'), 'ю', 'yu'), 'я', 'ya'), 'є', 'ye'),
        'ђ', 'dj'), 'љ', 'lj'), 'њ', 'nj'), 'џ', 'dz'), 'ѕ', 'dz'), 'җ', 'zh'), 'ου', 'ou'), 'αυ', 'av'), 'ευ', 'ev'),
        'μπ', 'b'), 'γγ', 'ng'), 'γκ', 'gk'), 'θ', 'th'), 'χ', 'ch'), 'ψ', 'ps'), 'φ', 'f'), 'ξ', 'x'),
    'абвгдезиклмнопрстуфыэіґјћўөүәңқғұһҷҳαβγδεζηικλμνοπρστυωъь',
    'abvgdeziklmnoprstufyeigjcuouankguhjhavgdeziiklmnoprstyo'
) END;

-- A Greek or Cyrillic word in Latin letters, each spelling once: as passports write it; as Serbian and Macedonian do, and
-- scholars; as Ukrainian does; and as Bulgarian does. Another word is as it was.
CREATE FUNCTION search.romanizations(word text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN word !~ '[\u0370-\u03FF\u0400-\u052F]' THEN ARRAY[word] ELSE ARRAY(
    SELECT DISTINCT search.romanized(spelling)
    FROM unnest(ARRAY[
        word,
        translate(replace(replace(replace(word, 'щ', 'sc'), 'ю', 'ju'), 'я', 'ja'), 'жчшцхђ', 'zcschd'),
        CASE WHEN word ~ '[гіґє]' AND word !~ '[ыэъђјљњћџ]' THEN translate(word, 'ги', 'hy') END,
        CASE WHEN word ~ '[ъщ]' THEN translate(replace(word, 'щ', 'sht'), 'ъх', 'ah') END
    ]) spelling
    WHERE spelling IS NOT NULL
) END;

CREATE OR REPLACE FUNCTION search.named(username text, display_name text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    words text[] := search.split(search.folded(display_name || ' ' || username));
    word text;
BEGIN
    IF display_name ~ '[\u0370-\u03FF\u0400-\u052F]' THEN
        FOREACH word IN ARRAY words LOOP
            words := words || search.romanizations(word);
        END LOOP;
    END IF;
    RETURN words;
END
$$;

-- Who writes đ, ѓ and ќ as dj, gj and kj also has the sound of who drops what is over the letter.
DO $$
DECLARE
    known constant text := 'said := said || (''s'' || search.sound(word));';
    source constant text := pg_get_functiondef('search.tokens_of'::regproc);
BEGIN
    ASSERT strpos(source, known) > 0;
    EXECUTE replace(source, known, known || '
        IF word ~ ''[dgk]j'' THEN
            said := said || (''s'' || search.sound(regexp_replace(word, ''([dgk])j'', ''\1'', ''g'')));
        END IF;');
END
$$;
