// Reads byte streams with our client's reader. In: [[base64 piece...]...]; out: [{events, retryMs}...].

import { readFileSync, writeFileSync } from "node:fs";

import { FrameReader } from "../../api/web/frames.js";

const streams = JSON.parse(readFileSync(0, "utf8"));
const read = streams.map((pieces) => {
  const reader = new FrameReader();
  const events = pieces.flatMap((piece) => reader.feed(Buffer.from(piece, "base64")));
  return { events, retryMs: reader.retryMs };
});
writeFileSync(1, JSON.stringify(read));
