// Owns how `json` events' ops turn a value into the next one (PROTOCOL.md, Events). Pure but for the
// value itself, which grows in place: a long document is not copied for every piece of it.

/** @typedef {{ op: "set" | "append" | "add", path: string, value: any }} Op */

/**
 * @param {any} value the value so far; undefined before the first op
 * @param {Op[]} ops
 * @returns {any} the value now
 * @throws {RangeError} when an op does not fit the value
 */
export function applyOps(value, ops) {
  const root = { "": value };
  for (const { op, path, value: given } of ops) {
    const parts = partsOf(path);
    const last = /** @type {string} */ (parts.pop());
    const holder = parts.reduce((/** @type {any} */ one, part) => childOf(one, part, path), root);
    if (op === "append") {
      put(holder, last, childOf(holder, last, path) + given);
    } else if (op === "set" || op === "add") {
      if (holder === null || typeof holder !== "object") throw new RangeError(`nothing holds ${path}`);
      put(holder, last, given);
    }
  }
  return root[""];
}

/**
 * The parts of a JSON Pointer (RFC 6901), the whole value's "" first.
 * @param {string} path
 * @returns {string[]}
 */
export function partsOf(path) {
  return path.split("/").map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/**
 * An op whose value is nobody else's, so that the next op does not change an event already seen.
 * @param {Op} op
 * @returns {Op}
 */
export function copyOf(op) {
  return op.value !== null && typeof op.value === "object" ? { ...op, value: structuredClone(op.value) } : op;
}

/** @param {any} holder @param {string} part @param {string} path */
function childOf(holder, part, path) {
  if (holder === null || typeof holder !== "object" || !Object.hasOwn(holder, part)) {
    throw new RangeError(`there is nothing at ${path}`);
  }
  return holder[part];
}

/** @param {any} holder @param {string} part @param {any} value */
function put(holder, part, value) {
  // Defined, not assigned: a key of a model's document may be `__proto__`.
  Object.defineProperty(holder, part, { value, writable: true, enumerable: true, configurable: true });
}
