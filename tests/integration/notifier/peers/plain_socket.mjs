// A plain websocket client. Arguments: address, token, and "answers" or "ignores" (the server's pings).
// Obeys one JSON object per line: {"say": text}, {"bytes": base64} (a binary frame), {"raw": base64} (straight to the
// wire), {"reading": bool}. Says {"state": "open"}, {"frame": text} and {"closed": code, "reason": text}.
import { createInterface } from "node:readline";
import WebSocket from "ws";

const [address, token, pings] = process.argv.slice(2);
const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");
const socket = new WebSocket(address, { headers: { Authorization: `Bearer ${token}` } });

socket.on("open", () => {
  if (pings === "ignores") socket._receiver.removeAllListeners("ping");
  say({ state: "open" });
});
socket.on("message", (data) => say({ frame: data.toString().slice(0, 200) }));
socket.on("close", (code, reason) => say({ closed: code, reason: reason.toString() }));
socket.on("unexpected-response", (_request, answer) => say({ refused: answer.statusCode }));
socket.on("error", () => {});

createInterface({ input: process.stdin }).on("line", (line) => {
  const wish = JSON.parse(line);
  if ("say" in wish) socket.send(wish.say);
  if ("bytes" in wish) socket.send(Buffer.from(wish.bytes, "base64"));
  if ("raw" in wish) socket._socket.write(Buffer.from(wish.raw, "base64"));
  if ("reading" in wish) wish.reading ? socket._socket.resume() : socket._socket.pause();
}).on("close", () => process.exit(0));
