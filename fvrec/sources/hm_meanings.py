"""What the columns of H&M's articles.csv mean, for the manifest."""

from __future__ import annotations

from collections.abc import Mapping

MEANINGS: Mapping[str, str] = {
    "article_id": "article number, ten digits: a product in one colour; the photo is images/{first three}/{id}.jpg",
    "product_code": "product number: shared by the colours of one product",
    "prod_name": "name of the product",
    "product_type_no": "number of product_type_name",
    "product_type_name": "kind of product, 131 names",
    "product_group_name": "kind of product, wider",
    "graphical_appearance_no": "number of graphical_appearance_name",
    "graphical_appearance_name": "pattern or look of the cloth, 30 names",
    "colour_group_code": "number of colour_group_name",
    "colour_group_name": "main colour, 50 names",
    "perceived_colour_value_id": "number of perceived_colour_value_name",
    "perceived_colour_value_name": "lightness of the colour",
    "perceived_colour_master_id": "number of perceived_colour_master_name",
    "perceived_colour_master_name": "main colour as perceived, 20 names",
    "department_no": "number of department_name",
    "department_name": "department that made it",
    "index_code": "letter of index_name",
    "index_name": "part of the assortment: ladies, men, children by size, sport, Divided",
    "index_group_no": "number of index_group_name",
    "index_group_name": "part of the assortment, wider",
    "section_no": "number of section_name",
    "section_name": "section of the shop",
    "garment_group_no": "number of garment_group_name",
    "garment_group_name": "kind of garment",
    "detail_desc": "description for the shopper",
}
