/**
 * @param {string} id
 * @returns {Place | null} null when it is no cursor
 */
export function placeOf(id: string): Place | null;
/**
 * Whether an event may be taken after what was seen. A folded one covers the seqs from `data.from` on.
 * @param {Place | null} seen null: nothing yet
 * @param {Place} place
 * @param {any} data
 * @returns {Step}
 */
export function stepTo(seen: Place | null, place: Place, data: any): Step;
export type Place = {
    epoch: bigint;
    seq: bigint;
};
export type Step = "next" | "seen" | "hole";
