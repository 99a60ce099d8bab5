// Owns the position of an event in its log (`<epoch>-<seq>`), and whether the next event may follow it. Pure.

/** @typedef {{ epoch: bigint, seq: bigint }} Position */
/** @typedef {"next" | "seen" | "hole"} Step */

const CURSOR = /^(0|[1-9]\d{0,19})-(0|[1-9]\d{0,19})$/;

/**
 * @param {string} id
 * @returns {Position | null} null if it is not a cursor
 */
export function positionOf(id) {
  const parts = CURSOR.exec(id);
  // Both numbers may have 64 bits; only epochs stay below 2^53 (until the year 287396).
  return parts && { epoch: BigInt(parts[1]), seq: BigInt(parts[2]) };
}

/**
 * Whether an event may follow the last one seen. A folded event covers the seqs from `data.from` on.
 * @param {Position | null} seen null if none was seen
 * @param {Position} position
 * @param {any} data
 * @returns {Step}
 */
export function stepTo(seen, position, data) {
  const first = Number.isInteger(data?.from) ? BigInt(data.from) : position.seq;
  if (seen === null || position.epoch > seen.epoch) return first === 0n ? "next" : "hole";
  if (position.epoch < seen.epoch || position.seq <= seen.seq) return "seen";
  return first === seen.seq + 1n ? "next" : "hole";
}
