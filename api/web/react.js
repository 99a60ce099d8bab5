// Owns the React hook. The page brings React.

import { useEffect, useState } from "react";

import { Answer, Outlive } from "./outlive.js";

/** @typedef {import("./outlive.js").Connection} Connection */
/**
 * @typedef {object} Watched
 * @property {Answer} answer grows in place; the object that holds it is new after every change
 * @property {Connection | null} connection
 * @property {Error | null} refused the error that ended watching without a terminal
 */

const sameServer = new Outlive();

/** @returns {Watched} */
function nothing() {
  return { answer: new Answer(), connection: null, refused: null };
}

/**
 * The answer of one generation as it grows. Renders at most once a frame, however many events come.
 * @param {string | null | undefined} id without an id nothing is watched
 * @param {{ client?: Outlive }} [options] `client` must be the same object in every render
 * @returns {Watched}
 */
export function useGeneration(id, { client = sameServer } = {}) {
  const [watched, setWatched] = useState(nothing);
  useEffect(() => {
    const state = nothing();
    setWatched(state);
    if (!id) return undefined;
    const leaving = new AbortController();
    let due = 0;
    const show = () => {
      due ||= frame(() => {
        due = 0;
        if (!leaving.signal.aborted) setWatched({ ...state });
      });
    };
    client.watch(id, {
      signal: leaving.signal,
      onEvent: (event) => {
        state.answer.apply(event);
        show();
      },
      onConnection: (connection) => {
        state.connection = connection;
        show();
      },
    }).done.catch((error) => {
      state.refused = error;
      show();
    });
    return () => leaving.abort();
  }, [id, client]);
  return watched;
}

/** @param {() => void} act @returns {number} */
function frame(act) {
  // A hidden page and a server draw no frames, but still need the end.
  const later = globalThis.document?.visibilityState === "visible" ? requestAnimationFrame : setTimeout;
  return Number(later(act)) || 1;
}
