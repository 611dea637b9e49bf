"""The way into the pages: their navigation, the header and the language. Run by ``fvrec demo``."""
# ruff: noqa: N999 - the file's name is the page's name

from __future__ import annotations

from pathlib import Path

import streamlit as st

from app import frame, views
from app.words import LANGUAGE_NAMES, say

PAGES = (
    ("shop", ":material/storefront:"),
    ("extraction", ":material/image_search:"),
    ("trade_off", ":material/balance:"),
    ("catalogue", ":material/inventory_2:"),
    ("sql", ":material/database:"),
    ("runs", ":material/history:"),
)


def main() -> None:
    """Header, navigation, and the page that was chosen."""
    st.set_page_config(page_title="fvrec", page_icon=str(Path(__file__).with_name("icon.svg")), layout="wide")
    views.style()
    tongue = frame.language()
    folder = Path(__file__).parent / "screens"
    pages = [
        st.Page(folder / f"{name}.py", title=say(f"page_{name}", tongue), icon=icon, default=name == "shop")
        for name, icon in PAGES
    ]
    chosen = st.navigation(pages, position="top")
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"## {chosen.title}", width="content")
        st.segmented_control(
            "Language · 语言",
            list(LANGUAGE_NAMES),
            default=tongue,
            required=True,
            format_func=LANGUAGE_NAMES.__getitem__,
            key="language",
            label_visibility="collapsed",
        )
    chosen.run()


if __name__ == "__main__":
    main()
