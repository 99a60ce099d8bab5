// Owns how long to wait, before the next connection or in the middle of work, and who may cut the wait
// short. No network.

const MOST_MS = 10_000;

/**
 * Jittered: what broke for one broke for a thousand, and they must not all return at once.
 * @param {number} failures in a row; 0 when the server ended the connection in good order
 * @param {number} retryMs what the server asked for
 * @param {() => number} [random] 0 to 1
 */
export function delayMs(failures, retryMs, random = Math.random) {
  if (failures === 0) return retryMs;
  const most = Math.min(MOST_MS, retryMs * 2 ** (failures - 1));
  return most * (0.5 + random() / 2);
}

/**
 * Tell when the browser has reason to think that the network is another one, or back: it came online,
 * the page came back from sleep or from the cache. Elsewhere than in a browser this never happens.
 * @param {() => void} act
 * @returns {() => void} stops telling
 */
export function onWake(act) {
  const seen = () => { if (globalThis.document?.visibilityState === "visible") act(); };
  globalThis.addEventListener?.("online", act);
  globalThis.addEventListener?.("pageshow", act);
  globalThis.document?.addEventListener("visibilitychange", seen);
  return () => {
    globalThis.removeEventListener?.("online", act);
    globalThis.removeEventListener?.("pageshow", act);
    globalThis.document?.removeEventListener("visibilitychange", seen);
  };
}

/**
 * Resolve after `ms`, on waking, or at once when `signal` aborts; never rejects.
 * @param {number} ms
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
export function pause(ms, signal) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      stop();
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    const stop = onWake(done);
    signal?.addEventListener("abort", done);
    if (signal?.aborted) done();
  });
}

/**
 * Let others have their turn: a click, a frame.
 * @returns {Promise<void>}
 */
export function breathe() {
  const { scheduler } = /** @type {{ scheduler?: { yield?: () => Promise<void> } }} */ (globalThis);
  // Where there is none, a hidden page waits a second for this; it has nothing to show meanwhile.
  return scheduler?.yield?.() ?? new Promise((resolve) => { setTimeout(resolve); });
}
