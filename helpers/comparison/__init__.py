"""Which explanation to believe: the small networks of notebook 10, the methods on them, and their scores."""
