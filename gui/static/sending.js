// A file on its way to the server.

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
