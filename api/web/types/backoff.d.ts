/**
 * Jittered: what broke for one broke for a thousand, and they must not all return at once.
 * @param {number} failures in a row; 0 when the server ended the connection in good order
 * @param {number} retryMs what the server asked for
 * @param {() => number} [random] 0 to 1
 */
export function delayMs(failures: number, retryMs: number, random?: () => number): number;
/**
 * Tell when the browser has reason to think that the network is another one, or back: it came online,
 * the page came back from sleep or from the cache. Elsewhere than in a browser this never happens.
 * @param {() => void} act
 * @returns {() => void} stops telling
 */
export function onWake(act: () => void): () => void;
/**
 * Resolve after `ms`, on waking, or at once when `signal` aborts; never rejects.
 * @param {number} ms
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
export function pause(ms: number, signal?: AbortSignal): Promise<void>;
/**
 * Let others have their turn: a click, a frame.
 * @returns {Promise<void>}
 */
export function breathe(): Promise<void>;
