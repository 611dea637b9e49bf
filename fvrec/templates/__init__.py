"""The Markdown templates of the reports, as package data."""
