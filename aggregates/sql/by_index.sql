-- For this transaction: the planner knows of neither the new series nor the rows before them, and would compare each with
-- each, or read all series for every batch.
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
       set_config('enable_mergejoin', 'off', true)
