"""What servers list: fetched, checked, remembered, and kept up to date."""
