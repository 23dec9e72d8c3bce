"""Every SQL statement: functions, `session` first."""
