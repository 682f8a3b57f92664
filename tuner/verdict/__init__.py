"""Statistics alone: intervals, paired comparison, the verdict. Knows no Ray, no files, no clock."""
