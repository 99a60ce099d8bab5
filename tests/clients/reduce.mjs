// Reduces lists of events with our client's reducer. In: [[event...]...]; out: [answer or {broken}...].

import { readFileSync, writeFileSync } from "node:fs";

import { Answer } from "../../api/web/outlive.js";

const lists = JSON.parse(readFileSync(0, "utf8"));
const answers = lists.map((events) => {
  try {
    return events.reduce((answer, event) => answer.apply(event), new Answer());
  } catch (error) {
    return { broken: error.name };
  }
});
writeFileSync(1, JSON.stringify(answers));
