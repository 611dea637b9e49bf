"""Raw rows and their photos -> validated items, with every row accounted for."""

from fvrec.catalog.building import build
from fvrec.catalog.checking import check
from fvrec.catalog.files import read_items, write_items
from fvrec.catalog.model import Catalog
from fvrec.catalog.moving import require_same_shop
from fvrec.catalog.profiling import profile

__all__ = ["Catalog", "build", "check", "profile", "read_items", "require_same_shop", "write_items"]
