"""The only place with SQL: ``db`` opens and publishes, ``write`` saves records, ``read`` gives them back."""
