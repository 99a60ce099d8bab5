// Owns how `json` events' ops turn a value into the next one (PROTOCOL.md, JSON as it grows). Pure but for the
// value itself, which grows in place: a long document is not copied for every piece of it.

/** @typedef {{ op: "set" | "append" | "add", path: string, value: any }} Op */

/**
 * @param {any} value the value so far; undefined before the first op
 * @param {Op[]} ops
 * @returns {any} the value now
 * @throws {RangeError} when an op does not fit the value: a client that has lost its place must not guess
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

/**
 * Whether an op fits the whole value. It alone may be set before there is anything, and cannot be added.
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
  // An array has a `length` of its own as well, which is no element.
  return isObject(holder) && Object.hasOwn(holder, part) && !(Array.isArray(holder) && part === "length");
}

/** @param {any} holder @param {string} part @param {any} value */
function put(holder, part, value) {
  // Defined, not assigned: a key of a model's document may be `__proto__`.
  Object.defineProperty(holder, part, { value, writable: true, enumerable: true, configurable: true });
}
