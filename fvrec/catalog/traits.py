"""What binds products together, as numbers: the design's key, the photo's bytes, and what the photo shows."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from fvrec.catalog.columns import Hashes
from fvrec.perceptual import HASH_BYTES

KEY_BYTES, SHA_BYTES = 16, 32


@dataclass
class Traits:
    """One row a product. Keys are digests of the group key's text; a perceptual hash of zeros stands for none."""

    keys: Hashes
    photos: Hashes
    looks: Hashes

    @classmethod
    def empty(cls) -> Traits:
        return cls(Hashes(KEY_BYTES), Hashes(SHA_BYTES), Hashes(HASH_BYTES))

    def append(self, group_key: str, sha256: bytes = b"", phash: bytes = b"") -> None:
        self.keys.append(key_digest(group_key))
        self.photos.append(sha256)
        self.looks.append(phash)

    def __len__(self) -> int:
        return len(self.keys)


def key_digest(group_key: str) -> bytes:
    """16 bytes that stand for the text."""
    return hashlib.blake2b(group_key.encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES).digest()
