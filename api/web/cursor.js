// Owns where an event stands in a log: `<epoch>-<seq>`, and whether the next one may follow. Pure.

/** @typedef {{ epoch: bigint, seq: bigint }} Place */
/** @typedef {"next" | "seen" | "hole"} Step */

const CURSOR = /^(0|[1-9]\d{0,19})-(0|[1-9]\d{0,19})$/;

/**
 * @param {string} id
 * @returns {Place | null} null when it is no cursor
 */
export function placeOf(id) {
  const parts = CURSOR.exec(id);
  // Two 64-bit numbers; epochs alone are below 2^53 until the year 287396.
  return parts && { epoch: BigInt(parts[1]), seq: BigInt(parts[2]) };
}

/**
 * Whether an event may be taken after what was seen. A folded one covers the seqs from `data.from` on.
 * @param {Place | null} seen null: nothing yet
 * @param {Place} place
 * @param {any} data
 * @returns {Step}
 */
export function stepTo(seen, place, data) {
  const first = Number.isInteger(data?.from) ? BigInt(data.from) : place.seq;
  if (seen === null || place.epoch > seen.epoch) return first === 0n ? "next" : "hole";
  if (place.epoch < seen.epoch || place.seq <= seen.seq) return "seen";
  return first === seen.seq + 1n ? "next" : "hole";
}
