// The client that everybody uses, as everybody uses it. Arguments: address, token, and how it keeps its place:
// "subscribe" (calls Subscribe after each reconnect), "ack" (acknowledges each event) or "none".
// Says what happens as one JSON object per line; ends when its standard input does.
import { HubConnectionBuilder, LogLevel } from "@microsoft/signalr";

const [address, token, place] = process.argv.slice(2);
const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");
let last = 0;

const connection = new HubConnectionBuilder()
  .withUrl(address, { accessTokenFactory: () => token })
  .withAutomaticReconnect(Array(100).fill(100))
  .configureLogging(LogLevel.Error)
  .build();

for (const name of ["WORKFLOW_COMPLETED", "WORKFLOW_STEP_FAILED", "WORKFLOW_STEP_RETRYING", "NOT_RECOVERED"]) {
  connection.on(name, (data) => {
    say({ event: name, data });
    last = data.id ?? last;
    if (place === "ack") connection.send("Ack", data.id);
  });
}
connection.onreconnecting(() => say({ state: "reconnecting" }));
connection.onreconnected(async () => {
  if (place === "subscribe") say({ subscribed: await connection.invoke("Subscribe", { after: last }) });
  say({ state: "reconnected" });
});
connection.onclose((error) => say({ state: "closed", error: error?.message }));

try {
  await connection.start();
  say({ state: "connected" });
} catch (error) {
  say({ state: "refused", error: error.message });
}
process.stdin.resume();
process.stdin.on("end", async () => {
  await connection.stop();
  process.exit(0);
});
