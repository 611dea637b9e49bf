"""The faces for people: a Streamlit page over the published snapshot, and the service that it asks."""
