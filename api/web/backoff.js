// Owns how long to wait before the next connection, what ends the wait early, and pauses in long work. No network.

const MAX_MS = 10_000;

/**
 * With jitter: a fault may hit a thousand viewers, and they must not all come back at once.
 * @param {number} failures in a row; 0 if the server closed the connection cleanly
 * @param {number} retryMs the wait that the server asked for
 * @param {() => number} [random] 0 to 1
 */
export function delayMs(failures, retryMs, random = Math.random) {
  if (failures === 0) return retryMs;
  const max = Math.min(MAX_MS, retryMs * 2 ** (failures - 1));
  return max * (0.5 + random() / 2);
}

/**
 * Call `act` when the network may have changed or come back: the browser went online, or the page came back from
 * sleep or from the cache. Outside a browser this never happens.
 * @param {() => void} act
 * @returns {() => void} stops it
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
 * Resolve after `ms`, when the network may be back, or when `signal` aborts; never reject.
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
 * Let the browser handle clicks and draw.
 * @returns {Promise<void>}
 */
export function yieldToBrowser() {
  const { scheduler } = /** @type {{ scheduler?: { yield?: () => Promise<void> } }} */ (globalThis);
  // Without it a hidden page may wait a second here; it has nothing to show meanwhile.
  return scheduler?.yield?.() ?? new Promise((resolve) => { setTimeout(resolve); });
}
