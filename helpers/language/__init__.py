"""Captions and questions about pictures: scenes, words, and the two networks that learn from them."""
