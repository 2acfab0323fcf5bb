-- Open alerts that no window could be judged for since long, and those of rules that are not there any more: rule and subject.
SELECT a.rule, a.subject FROM alert a
LEFT JOIN unnest(%(rule)s::text[], %(patience)s::timestamptz[], %(forget)s::timestamptz[]) AS n (rule, patience, forget)
    USING (rule)
WHERE a.cleared_at IS NULL AND (n.patience IS NULL OR a.state = 'raised' AND a.sure <= n.patience OR a.sure <= n.forget)
