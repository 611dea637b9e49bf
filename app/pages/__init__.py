"""The pages, one file each; ``app/Home.py`` names them."""
