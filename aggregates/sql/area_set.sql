-- For statements over whole hours of all sensors, whose rows nobody can estimate through the views.
SELECT set_config('work_mem', '64MB', true), set_config('plan_cache_mode', 'force_custom_plan', true),
       set_config('enable_nestloop', 'off', true), set_config('jit', 'off', true)
