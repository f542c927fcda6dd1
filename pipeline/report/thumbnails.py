"""Pictures small enough to lie inside the page, as data URLs."""

import base64
import io

import numpy as np
from PIL import Image

from secondlook.pipeline.core.decode import Decoded, Limits, decode
from secondlook.pipeline.report.facts import Picture

SIDE_PX = 192  # shown at about 100 px, twice that on the screens of phones
TINY_PX = 64  # up to here a picture is kept as it is, without loss: its pixels are what a person must judge
QUALITY = 78


def thumbnail(picture: Picture, data: bytes, limits: Limits) -> Picture:
    """The picture with `src` and its size filled in; as it was where the bytes can't be decoded. Same bytes, same text."""
    decoded = decode(data, limits, min_side_px=SIDE_PX)
    if not isinstance(decoded, Decoded):
        return picture
    image = Image.fromarray(decoded.pixels)
    tiny = max(image.size) <= TINY_PX
    if not tiny:
        image.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
    pixels = np.asarray(image)
    if (pixels == pixels[:, :, :1]).all():
        image = image.convert("L")
    buffer = io.BytesIO()
    if tiny:
        image.save(buffer, "PNG", optimize=True)
    else:
        image.save(buffer, "WEBP", quality=QUALITY, method=4)
    kind = "png" if tiny else "webp"
    src = f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
    return Picture(picture.key, src, image.width, image.height, picture.label, picture.split)
