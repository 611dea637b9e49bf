"""The pages, one file each; ``app/Home.py`` names them. A folder ``pages`` would be Streamlit's own navigation."""
