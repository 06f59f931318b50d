"""The way of a table: plan, limits, transfer, commit."""
