//! Makes a picture small enough for a repository: 256 colours are plenty for flat pages.
import UPNG from "upng-js";

export function small(png: Buffer): Buffer {
  const image = UPNG.decode(png);
  return Buffer.from(UPNG.encode(UPNG.toRGBA8(image), image.width, image.height, 256));
}
