// Renders the React hook on one generation, then on another. In: {url, first, second}; out: what was shown.

import { readFileSync, writeFileSync } from "node:fs";

import { act, createElement, StrictMode } from "react";
import { create } from "react-test-renderer";

import { useGeneration } from "outlive/react";
import { Outlive } from "outlive";

const { url, first, second } = JSON.parse(readFileSync(0, "utf8"));
const client = new Outlive({ baseUrl: url });
globalThis.IS_REACT_ACT_ENVIRONMENT = true;
let shown;
let renders = 0;

function Generation({ id }) {
  const { answer, connection, refused } = useGeneration(id, { client });
  renders += 1;
  shown = { text: answer.text, status: answer.status, state: connection?.state ?? null, code: refused?.code ?? null };
  return createElement("p", null, answer.text);
}

async function settled(condition) {
  while (!condition(shown)) await act(() => new Promise((resolve) => setTimeout(resolve, 20)));
  return shown;
}

const element = (id) => createElement(StrictMode, null, createElement(Generation, { id }));
let root;
await act(() => { root = create(element(null)); });
const nothing = shown;
await act(() => root.update(element(first)));
const one = await settled(({ state }) => state === "ended");
const page = root.toJSON().children?.join("") ?? "";
await act(() => root.update(element(second)));
const between = shown;
const two = await settled(({ state }) => state === "ended");
await act(() => root.update(element("gen_unknown")));
const unknown = await settled(({ code }) => code !== null);
await act(() => root.unmount());
writeFileSync(1, JSON.stringify({ nothing, one, page, between, two, unknown, renders }));
