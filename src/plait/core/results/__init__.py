"""What came of a run or would come of it, and where the time went."""
