SELECT level, judged FROM alert_clock
