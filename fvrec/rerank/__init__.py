"""Requests in words, scores, explanations that can be checked, and rerankers that need no training."""
