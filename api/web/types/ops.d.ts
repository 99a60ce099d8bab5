/** @typedef {{ op: "set" | "append" | "add", path: string, value: any }} Op */
/**
 * @param {any} value the value so far; undefined before the first op
 * @param {Op[]} ops
 * @returns {any} the value now
 * @throws {RangeError} if an op does not fit the value: a client that missed an event must not guess
 */
export function applyOps(value: any, ops: Op[]): any;
/**
 * The parts of a JSON Pointer (RFC 6901). The first is "", the whole value.
 * @param {string} path
 * @returns {string[]}
 */
export function partsOf(path: string): string[];
/**
 * An op with its own copy of the value, so that a later op does not change an event that was already seen.
 * @param {Op} op
 * @returns {Op}
 */
export function copyOf(op: Op): Op;
export type Op = {
    op: "set" | "append" | "add";
    path: string;
    value: any;
};
