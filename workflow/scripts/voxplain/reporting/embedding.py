"""Files inside the page: pictures as data URIs, and the hash that lets the browser run one script and no other."""

import base64
import hashlib
import io
import os
from pathlib import Path

from voxplain.base.errors import refuse

KINDS = {".svg": "image/svg+xml", ".png": "image/png", ".webp": "image/webp", ".jpg": "image/jpeg"}
WORTH_SHRINKING = 20_000  # bytes


def data_uri(path: str | os.PathLike) -> str:
    """Return a picture as a data URI; larger PNGs are put in as WebP, about a fifth of the size.

    Raises
    ------
    InputError
        For a kind of file that is no picture.
    """
    path = Path(path)
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        refuse(f"Pictures of the page are {', '.join(KINDS)}; got", [path])
    payload = path.read_bytes()
    if kind == "image/png" and len(payload) > WORTH_SHRINKING:
        smaller = _as_webp(payload)
        if len(smaller) < len(payload):
            kind, payload = "image/webp", smaller
    return bytes_uri(payload, kind)


def bytes_uri(payload: bytes, kind: str) -> str:
    """Return bytes of a MIME type as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(payload).decode('ascii')}"


def _as_webp(png: bytes) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        image.convert("RGB").save(buffer, format="WEBP", quality=85, method=6)
    return buffer.getvalue()


def source_hash(text: str) -> str:
    """Return a Content-Security-Policy source (``'sha256-...'``) for an inline script."""
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii") + "'"
