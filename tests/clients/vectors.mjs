// Reads and reduces byte streams with our client. In: [[connection...]...]; out: [answer or {broken}...].

import { readFileSync, writeFileSync } from "node:fs";

import { FrameReader } from "../../api/web/frames.js";
import { Answer } from "../../api/web/outlive.js";

const viewers = JSON.parse(readFileSync(0, "utf8"));
const answers = viewers.map((connections) => {
  const answer = new Answer();
  try {
    for (const bytes of connections) {
      for (const event of new FrameReader().feed(Buffer.from(bytes))) answer.apply(event);
    }
    return answer;
  } catch (error) {
    return { broken: error.name };
  }
});
writeFileSync(1, JSON.stringify(answers));
