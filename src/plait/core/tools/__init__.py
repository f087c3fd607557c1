"""The tools: what is known of them, how they are named and found, what they touch and give."""
