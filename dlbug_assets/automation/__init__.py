"""Jobs, schedules, sensors and logs: what runs by itself, and what is recorded of it."""
