"""What a run remembers and shows: the run directory, the report, the tables, the export."""
