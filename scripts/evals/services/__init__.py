"""The made-up services that jobs are done with: their data is fixed but for the clock that they are
given, and what a job changes is held in memory."""
