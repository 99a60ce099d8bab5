/** @typedef {{ op: "set" | "append" | "add", path: string, value: any }} Op */
/**
 * @param {any} value the value so far; undefined before the first op
 * @param {Op[]} ops
 * @returns {any} the value now
 * @throws {RangeError} when an op does not fit the value: a client that has lost its place must not guess
 */
export function applyOps(value: any, ops: Op[]): any;
/**
 * The parts of a JSON Pointer (RFC 6901), the whole value's "" first.
 * @param {string} path
 * @returns {string[]}
 */
export function partsOf(path: string): string[];
/**
 * An op whose value is nobody else's, so that the next op does not change an event already seen.
 * @param {Op} op
 * @returns {Op}
 */
export function copyOf(op: Op): Op;
export type Op = {
    op: "set" | "append" | "add";
    path: string;
    value: any;
};
