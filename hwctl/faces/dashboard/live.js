// The stream of everything that moves. Reconnects by itself and says so.

const SILENT_MS = 4000;
const RETRY_MS = 2000;

/** handlers: rig(document), frame(document), event(document), state("live"|"lost"|"still", since) */
export function follow(handlers) {
  let source = null;
  let lastId = null;
  let lastRig = Date.now();
  let connected = false;
  let retry = 0;

  const tell = () => {
    if (!connected) handlers.state("lost", lastRig);
    else handlers.state(Date.now() - lastRig > SILENT_MS ? "still" : "live", lastRig);
  };

  function open() {
    clearTimeout(retry);
    source?.close();
    source = new EventSource("/api/v1/live");
    source.addEventListener("open", () => {
      connected = true;
      lastRig = Date.now();
      tell();
    });
    source.addEventListener("error", () => {
      connected = false;
      tell();
      // The browser retries a broken connection, but gives up after an answer that is no stream.
      if (source.readyState === EventSource.CLOSED) retry = setTimeout(open, RETRY_MS);
    });
    source.addEventListener("rig", (message) => {
      lastRig = Date.now();
      handlers.rig(JSON.parse(message.data));
      tell();
    });
    source.addEventListener("frame", (message) => handlers.frame(JSON.parse(message.data)));
    source.addEventListener("event", (message) => {
      const id = Number(message.lastEventId);
      if (lastId !== null && id <= lastId) return;
      lastId = id;
      handlers.event(JSON.parse(message.data));
    });
  }

  open();
  setInterval(tell, 1000);
  return { reopen: open };
}
