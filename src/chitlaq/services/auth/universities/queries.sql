-- name: university_of_domains
-- The university of the longest of these domains, and its rules in their order. Index: university_domains'
-- primary key.
SELECT u.id, u.name, r.kind, r.pattern, r.department
FROM (SELECT university_id FROM auth.university_domains WHERE domain = ANY($1)
      ORDER BY length(domain) DESC LIMIT 1) d
JOIN auth.universities u ON u.id = d.university_id
LEFT JOIN auth.address_rules r ON r.university_id = u.id
ORDER BY r.position;

-- name: lock_universities
-- Let nobody else change universities until the transaction ends.
LOCK TABLE auth.universities IN SHARE ROW EXCLUSIVE MODE;

-- name: universities
-- All universities with their domains and rules, by name.
SELECT u.id, u.code, u.name, u.country,
       ARRAY(SELECT d.domain FROM auth.university_domains d WHERE d.university_id = u.id ORDER BY d.domain) AS domains,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('kind', r.kind, 'pattern', r.pattern,
                                                     'department', r.department) ORDER BY r.position), '[]')
        FROM auth.address_rules r WHERE r.university_id = u.id)::text AS rules
FROM auth.universities u
ORDER BY u.name, u.country, u.id;

-- name: put_universities
-- Add universities, or change what is known of them.
INSERT INTO auth.universities (id, code, name, country)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[])
ON CONFLICT (id) DO UPDATE SET code = excluded.code, name = excluded.name, country = excluded.country;

-- name: put_domains
-- Give domains to universities, whosever they were.
INSERT INTO auth.university_domains (domain, university_id)
SELECT * FROM unnest($1::text[], $2::uuid[])
ON CONFLICT (domain) DO UPDATE SET university_id = excluded.university_id;

-- name: remove_rules
-- Remove the rules of these universities. Index: address_rules' primary key.
DELETE FROM auth.address_rules WHERE university_id = ANY ($1);

-- name: add_rules
-- Add rules.
INSERT INTO auth.address_rules (university_id, position, kind, pattern, department)
SELECT * FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::text[], $5::text[]);
