/**
 * With jitter: a fault may hit a thousand viewers, and they must not all come back at once.
 * @param {number} failures in a row; 0 if the server closed the connection cleanly
 * @param {number} retryMs the wait that the server asked for
 * @param {() => number} [random] 0 to 1
 */
export function delayMs(failures: number, retryMs: number, random?: () => number): number;
/**
 * Call `act` when the network may have changed or come back: the browser went online, or the page came back from
 * sleep or from the cache. Outside a browser this never happens.
 * @param {() => void} act
 * @returns {() => void} stops it
 */
export function onWake(act: () => void): () => void;
/**
 * Resolve after `ms`, when the network may be back, or when `signal` aborts; never reject.
 * @param {number} ms
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
export function pause(ms: number, signal?: AbortSignal): Promise<void>;
/**
 * Let the browser handle clicks and draw.
 * @returns {Promise<void>}
 */
export function yieldToBrowser(): Promise<void>;
