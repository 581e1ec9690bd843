// Runs in the browser's audio thread (AudioWorklet): passes on what the microphone hears.

class Recorder extends AudioWorkletProcessor {
  process([input]) {
    if (input.length) this.port.postMessage(input[0].slice());
    return true;
  }
}

registerProcessor("anneal-recorder", Recorder);
