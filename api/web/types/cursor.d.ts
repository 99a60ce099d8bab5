/**
 * @param {string} id
 * @returns {Position | null} null if it is not a cursor
 */
export function positionOf(id: string): Position | null;
/**
 * Whether an event may follow the last one seen. A folded event covers the seqs from `data.from` on.
 * @param {Position | null} seen null if none was seen
 * @param {Position} position
 * @param {any} data
 * @returns {Step}
 */
export function stepTo(seen: Position | null, position: Position, data: any): Step;
export type Position = {
    epoch: bigint;
    seq: bigint;
};
export type Step = "next" | "seen" | "hole";
