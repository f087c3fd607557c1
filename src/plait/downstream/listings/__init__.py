"""Lists of servers: fetched, checked, remembered, and kept up to date."""
