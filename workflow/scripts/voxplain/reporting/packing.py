"""Data inside the page for its script: compressed, and such that nothing of it can be taken for markup."""

import base64
import gzip
import json


def pack(payload: bytes) -> str:
    """Return bytes gzipped and as base64; the same bytes give the same text."""
    return base64.b64encode(gzip.compress(payload, 9, mtime=0)).decode("ascii")


def as_json(data: object) -> str:
    """Return JSON that may stand in a page's script element: no character of it can end the element."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
