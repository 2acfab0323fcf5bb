-- For thousands of new series at once: the planner knows of neither them nor the rows before them, and would compare each
-- with each.
SELECT set_config('enable_nestloop', 'off', true)
