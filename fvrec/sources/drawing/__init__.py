"""Garments drawn with Pillow: what the embedded catalogue's photos are made of."""
