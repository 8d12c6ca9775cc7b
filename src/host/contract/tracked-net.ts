/** A Net that remembers what a test opened, so that a test that fails leaves nothing open. */
import type { Connection, Listener, Net } from "#host/net.ts";

export function tracked(net: Net): { net: Net; closeAll: () => Promise<void> } {
  const connections: Connection[] = [];
  const listeners: Listener[] = [];
  return {
    net: {
      ...net,
      async listen(options, accepted) {
        const listener = await net.listen(options, (connection) => {
          connections.push(connection);
          accepted(connection);
        });
        listeners.push(listener);
        return listener;
      },
      connect(options, handler) {
        const connection = net.connect(options, handler);
        connections.push(connection);
        return connection;
      },
    },
    async closeAll() {
      for (const connection of connections) connection.destroy();
      for (const listener of listeners) await listener.close();
    },
  };
}
