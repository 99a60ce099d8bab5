/**
 * One generation's answer as it is made. Renders at most once a frame, however many events come.
 * @param {string | null | undefined} id nothing is watched without one
 * @param {{ client?: Outlive }} [options] a client that stays the same one between renders
 * @returns {Watched}
 */
export function useGeneration(id: string | null | undefined, { client }?: {
    client?: Outlive;
}): Watched;
export type Connection = import("./outlive.js").Connection;
export type Watched = {
    /**
     * grows in place; what holds it is new after every change
     */
    answer: Answer;
    connection: Connection | null;
    /**
     * what ended the watching without a terminal
     */
    refused: Error | null;
};
import { Outlive } from "./outlive.js";
import { Answer } from "./outlive.js";
