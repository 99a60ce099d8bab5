// Owns how the ops of `json` events change a value (PROTOCOL.md, JSON as it grows). Pure, except that the value grows
// in place: a long document is not copied for each piece.

/** @typedef {{ op: "set" | "append" | "add", path: string, value: any }} Op */

/**
 * @param {any} value the value so far; undefined before the first op
 * @param {Op[]} ops
 * @returns {any} the value now
 * @throws {RangeError} if an op does not fit the value: a client that missed an event must not guess
 */
export function applyOps(value, ops) {
  /** @type {Record<string, any>} */
  const root = value === undefined ? {} : { "": value };
  for (const { op, path, value: given } of ops) {
    const parts = partsOf(path);
    const last = /** @type {string} */ (parts.pop());
    const holder = parts.reduce((/** @type {any} */ one, part) => (has(one, part) ? one[part] : undefined), root);
    const isFitting = holder === root ? last === "" && fitsRoot(op, root, given) : fits(op, holder, last, given);
    if (!isFitting) {
      throw new RangeError(`${op} at "${path}" does not fit the value so far`);
    }
    put(holder, last, op === "append" ? holder[last] + given : given);
  }
  return root[""];
}

/**
 * The parts of a JSON Pointer (RFC 6901). The first is "", the whole value.
 * @param {string} path
 * @returns {string[]}
 */
export function partsOf(path) {
  return path.split("/").map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/**
 * An op with its own copy of the value, so that a later op does not change an event that was already seen.
 * @param {Op} op
 * @returns {Op}
 */
export function copyOf(op) {
  return op.value !== null && typeof op.value === "object" ? { ...op, value: structuredClone(op.value) } : op;
}

/**
 * Whether an op fits the whole value. Only the whole value may be set before it exists, and it cannot be added.
 * @param {string} op
 * @param {Record<string, any>} root
 * @param {any} given
 */
function fitsRoot(op, root, given) {
  return op === "set" || (op === "append" && fits(op, root, "", given));
}

/**
 * @param {string} op
 * @param {any} holder
 * @param {string} part
 * @param {any} given
 */
function fits(op, holder, part, given) {
  switch (op) {
    case "set": return has(holder, part);
    case "append": return has(holder, part) && typeof holder[part] === "string" && typeof given === "string";
    case "add": return Array.isArray(holder) ? part === String(holder.length) : isObject(holder) && !has(holder, part);
    default: return false;
  }
}

/** @param {any} value */
function isObject(value) {
  return value !== null && typeof value === "object";
}

/** @param {any} holder @param {string} part whether there is a value, in an array or an object */
function has(holder, part) {
  // The own property `length` of an array is not an element.
  return isObject(holder) && Object.hasOwn(holder, part) && !(Array.isArray(holder) && part === "length");
}

/** @param {any} holder @param {string} part @param {any} value */
function put(holder, part, value) {
  // Defined, not assigned: a model may use `__proto__` as a key.
  Object.defineProperty(holder, part, { value, writable: true, enumerable: true, configurable: true });
}
