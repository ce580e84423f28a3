"""Before, while and after a run: what it needs, what it costs, how far it is, and how it ended."""
