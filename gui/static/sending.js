// A file on its way to the server, and answers that come line by line.

import { text } from "./shell.js";

/**
 * One file on its way: `answer` is the token that it is asked for by, `abort()` ends it, and
 * `moved(bytes)` is told how far it is. A file of an upload that waits is given that one's `token`.
 */
export function put(one, token, moved) {
  // fetch can't say how far it is.
  const query = new URLSearchParams([["file", one.name], ...(token ? [["token", token]] : [])]);
  const request = new XMLHttpRequest();
  const answer = new Promise((resolve, reject) => {
    const fail = (sentence) => reject(Object.assign(new Error(sentence), { status: request.status }));
    request.upload.addEventListener("progress", (event) => moved(event.loaded));
    request.addEventListener("load", () => {
      let said = {};
      try {
        said = JSON.parse(request.responseText);
      } catch {
        // not ours: the sentence below says what can be said
      }
      if (request.status === 200) resolve(said.token);
      else fail(said.error ?? text("server.failed"));
    });
    request.addEventListener("error", () => fail(text("offline")));
    request.addEventListener("abort", () => fail(""));
  });
  request.open("PUT", `/api/uploads?${query}`);
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.send(one);
  return { answer, abort: () => request.abort() };
}

/** What an address sends line by line, as it comes. */
export async function* coming(path, body, signal) {
  let reply;
  try {
    const headers = { "Content-Type": "application/json" };
    reply = await fetch(path, { method: "POST", headers, body: JSON.stringify(body), signal });
  } catch (trouble) {
    if (trouble.name === "AbortError") throw trouble;
    throw new Error(text("offline"));
  }
  if (!reply.ok) {
    const said = await reply.json().catch(() => ({}));
    throw new Error(said.error ?? text("server.failed"));
  }
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line) yield JSON.parse(line);
  }
}
