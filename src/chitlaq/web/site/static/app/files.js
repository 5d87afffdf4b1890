/** Pictures that the server would refuse are refused before they are sent: on a slow connection that takes long. */

import { first, t } from "./base.js";

const KINDS = new Set(["image/jpeg", "image/png", "image/webp", "image/avif", "image/gif"]);
const MEGABYTE = 1_000_000;

/** Why a file is not accepted; nothing if it may be. @param {File} file */
export function unfit({ name, type, size }) {
  // Of what a browser does not know, the server says more.
  if (type && !KINDS.has(type)) return t("pictures.kind", { name });
  if (size > first.upload_bytes) return t("pictures.large", { name, size: megabytes(size), most: megabytes(first.upload_bytes) });
  return "";
}

/** Rounded up: what is too large is not said to be as large as it may be. @param {number} bytes */
function megabytes(bytes) {
  const format = new Intl.NumberFormat(document.documentElement.lang, { style: "unit", unit: "megabyte", maximumFractionDigits: 1 });
  return format.format(Math.ceil((bytes * 10) / MEGABYTE) / 10);
}
