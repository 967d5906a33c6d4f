"""What tells whether it all works: metrics, queues, processes, jobs; and the reaper that mends."""
