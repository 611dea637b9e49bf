"""fvrec: product photos -> attribute JSON -> reranked lists that explain themselves.

Importing this package is cheap: nothing here pulls in torch, Prefect or DuckDB.
"""

__version__ = "0.1.0"
