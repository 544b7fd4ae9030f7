// A page that knows nothing of positions: it calls on() and start(). Arguments: address, token, and "automatic" (the
// client's own reconnection) or "by-hand" (start() again whenever the connection closed or could not be had).
// Says each event as one JSON object per line; ends when its standard input does.
import { HubConnectionBuilder, LogLevel } from "@microsoft/signalr";

const [address, token, how] = process.argv.slice(2);
const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");

const builder = new HubConnectionBuilder()
  .withUrl(address, { accessTokenFactory: () => token })
  .configureLogging(LogLevel.None);
const connection = (how === "automatic" ? builder.withAutomaticReconnect(Array(1000).fill(100)) : builder).build();
connection.on("WORKFLOW_COMPLETED", (data) => say({ event: "WORKFLOW_COMPLETED", data }));

const start = async () => {
  try {
    await connection.start();
  } catch {
    setTimeout(start, 100);
  }
};
if (how === "by-hand") connection.onclose(start);
await start();
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
