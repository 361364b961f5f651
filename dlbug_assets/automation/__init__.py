"""Jobs, schedules, sensors and logs."""
